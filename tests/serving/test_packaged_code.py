from __future__ import annotations

import ast
from pathlib import Path

import pytest

from matbind.modalities import code
from matbind.modalities.code import PACKAGE, code_of
from matbind.modalities.table import modality_names
from matbind.serving.packaged_code import SCRIPT_MODULE, copy_code, packaged_digest, requirements


def test_what_answers_of_every_modality_is_packaged() -> None:
    expected = {
        Path("modalities", name, f"{which}.py")
        for name in modality_names()
        for which in ("records", "features", "transform", "encoder", "query")
    }

    assert expected <= set(code_of(SCRIPT_MODULE))


def test_training_tracking_and_validation_stay_at_home() -> None:
    names = {str(path) for path in code_of(SCRIPT_MODULE)}

    assert names & {"training/trainer.py", "serving/bundle.py"} == set()
    assert not [name for name in names if name.endswith("validation.py") or name.startswith(("tracking", "cli"))]


def test_every_import_of_the_package_is_in_what_is_copied(tmp_path: Path) -> None:
    package = copy_code(tmp_path)

    missing = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "matbind":
                module = package.joinpath(*str(node.module).split(".")[1:])
                if not (module / "__init__.py").exists() and not module.with_suffix(".py").exists():
                    missing.add(node.module)
    assert missing == set()
    assert (package / "serving" / "mlflow_model.py").read_text() == (
        PACKAGE / "serving" / "mlflow_model.py"
    ).read_text()


def test_requirements_are_pinned_and_found_in_any_registry() -> None:
    lines = requirements()

    assert all(line.count("==") == 1 and "+" not in line for line in lines)
    names = {line.partition("==")[0] for line in lines}
    assert {"torch", "torch-geometric", "numpy", "mlflow", "pymatgen"} <= names
    assert names & {"dvc", "prefect", "optuna", "great-expectations"} == set()


def test_the_digest_tells_a_change_of_a_packaged_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = packaged_digest()
    changed = tmp_path / "encoder.py"
    changed.write_text("")
    files = dict.fromkeys(code_of(SCRIPT_MODULE))
    assert Path("modalities/dos/encoder.py") in files
    code.code_digest.cache_clear()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read(changed if path == PACKAGE / "modalities/dos/encoder.py" else path)
    )

    assert packaged_digest() != before
    code.code_digest.cache_clear()
