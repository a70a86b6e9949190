"""Which of this package's files a registered model holds, so that it answers where matbind is not installed."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from matbind.modalities.code import PACKAGE, code_digest, code_of

SCRIPT_MODULE = "serving.mlflow_model"
SCRIPT = Path(__file__).with_name("mlflow_model.py")
_NEEDED = (
    "filelock",
    "gemmi",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pydantic",
    "pymatgen",
    "safetensors",
    "scipy",
    "spglib",
    "torch",
    "torch-geometric",
    "transformers",
)


def copy_code(directory: Path) -> Path:
    """Copy the packaged files to ``directory/matbind`` and return that path."""
    for name in code_of(SCRIPT_MODULE):
        target = directory / PACKAGE.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, target)
    return directory / PACKAGE.name


def packaged_digest() -> str:
    """Return the digest of the packaged files that an answer depends on."""
    return code_digest(SCRIPT_MODULE)


def requirements() -> list[str]:
    """Return what inference needs, with the versions of this environment."""
    # A local build such as 2.13.0+cpu is found in no registry.
    return [f"{name}=={version(name).partition('+')[0]}" for name in _NEEDED]
