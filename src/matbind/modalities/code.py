"""Which files of the package a module runs: what a result depends on besides data and settings."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_MODALITIES = PACKAGE / "modalities"
# No result depends on how these are written: they move files and processes, record, or hold what params.yaml says.
_PLUMBING = frozenset(
    {
        "base/config",
        "base/dask",
        "base/errors",
        "base/files",
        "base/model_files",
        "base/parallel",
        "base/processes",
        "base/provenance",
        "base/warm",
        "modalities/code",
        "modalities/protocol",
        "modalities/table",
    }
)
_PLUMBING_ROOMS = frozenset({"settings", "tracking"})


@cache
def code_of(*modules: str | Path, plumbing: bool = True) -> tuple[Path, ...]:
    """Return the files that modules import, directly or not, inside functions too.

    A call such as ``part(name, "encoder")`` counts as an import of that part of every modality.

    Args:
        modules: names below the package, such as ``training.combination``, or paths of other scripts.
        plumbing: whether files are named, and followed, that no result depends on.

    Returns:
        Paths relative to the package's directory, ascending.

    Raises:
        FileNotFoundError: if there is no such module.
    """
    files: set[Path] = set()
    named = [PACKAGE.joinpath(*module.split(".")).with_suffix(".py") for module in modules if isinstance(module, str)]
    scripts = [module for module in modules if isinstance(module, Path)]
    waiting = [*named, *(file for script in scripts for file in _imported(script))]
    while waiting:
        path = waiting.pop()
        if path in files or (not plumbing and _is_plumbing(path.relative_to(PACKAGE))):
            continue
        files.add(path)
        waiting += _imported(path)
    if plumbing:
        files |= {folder / "__init__.py" for path in files for folder in path.parents if folder.is_relative_to(PACKAGE)}
    return tuple(sorted(path.relative_to(PACKAGE) for path in files))


@cache
def code_digest(*modules: str) -> str:
    """Return a digest of the files of :func:`code_of` that a result depends on."""
    digest = hashlib.sha256()
    for path in code_of(*modules, plumbing=False):
        digest.update(f"{path.as_posix()}\n".encode())
        digest.update((PACKAGE / path).read_bytes())
    return digest.hexdigest()


def _is_plumbing(path: Path) -> bool:
    name = path.with_suffix("").as_posix()
    return path.name == "__init__.py" or name in _PLUMBING or path.parts[0] in _PLUMBING_ROOMS


def _imported(path: Path) -> Iterator[Path]:
    for node in _run_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            base = PACKAGE.joinpath(*str(node.module).split(".")[1:])
            modules = [base / alias.name for alias in node.names] if base.is_dir() else [base]
            yield from (file for module in modules if (file := module.with_suffix(".py")).exists())
        elif isinstance(node, ast.Call) and (which := _part_name(node)):
            yield from sorted(_MODALITIES.glob(f"*/{which}.py"))


def _run_nodes(module: ast.Module) -> Iterator[ast.AST]:
    """Every node but those below ``if TYPE_CHECKING``."""
    body = [node for node in module.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))]
    for node in body:
        yield from ast.walk(node)


def _part_name(call: ast.Call) -> str | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    which = call.args[-1] if name == "part" and call.args else None
    return which.value if isinstance(which, ast.Constant) and isinstance(which.value, str) else None
