"""What `pyproject.toml` declares is what the code imports; deptry, in `make lint`, looks at all extras as one."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from matbind.base.extras import EXTRAS
from matbind.modalities.code import PACKAGE, code_of
from matbind.serving.packaged_code import SCRIPT_MODULE, requirements


def _declared(project_root: Path, extra: str | None = None) -> set[str]:
    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {_normal(re.split(r"[\[<>=]", line)[0]) for line in lines}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(modules: set[str]) -> set[str]:
    """Return what brings some modules, of several distributions the one named like the module where there is one."""
    names = packages_distributions()
    candidates = [{_normal(name) for name in names[module]} for module in modules - sys.stdlib_module_names]
    return {min(found, key=len) for found in candidates}


def _imports(*modules: str) -> set[str]:
    """Return the top-level names that some modules of the package and all they import may import, functions' too."""
    imported: set[str] = set()
    for path in code_of(*modules):
        for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    return imported - {PACKAGE.name}


def test_what_loads_a_model_and_answers_is_installed_without_an_extra(project_root: Path) -> None:
    imported = _imports("serving.searcher", "modalities.recognition", "modalities.reading")

    assert _distributions(imported) <= _declared(project_root)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extra_that_an_error_names_brings_the_library(extra: str, project_root: Path) -> None:
    assert _distributions(set(EXTRAS[extra])) <= _declared(project_root, extra)


def test_a_registered_model_requires_what_its_code_imports() -> None:
    required = {_normal(line.partition("==")[0]) for line in requirements()}

    assert required == _distributions(_imports(SCRIPT_MODULE))


def test_every_declared_package_has_an_exact_version(project_root: Path) -> None:
    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    declared = _declared(project_root).union(*(_declared(project_root, e) for e in project["optional-dependencies"]))
    lines = (project_root / "constraints.txt").read_text().splitlines()

    pinned = {_normal(line.partition("==")[0]) for line in lines if "==" in line}

    assert declared - {"matbind"} <= pinned
