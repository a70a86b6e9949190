from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from matbind.modalities import table
from matbind.modalities.code import PACKAGE
from matbind.modalities.table import TABLE, modality_names, part, structure_name, value_names

MODALITIES = PACKAGE / "modalities"


def test_the_structure_comes_first_and_the_others_are_values() -> None:
    assert (structure_name(), *value_names()) == modality_names() == tuple(TABLE)


def test_a_part_is_the_module_of_its_name() -> None:
    assert part("dos", "features").__name__ == "matbind.modalities.dos.features"


def test_an_optional_part_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "bare", "matbind.base")

    assert part("bare", "perturbations") is None


def test_a_required_part_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "bare", "matbind.base")

    with pytest.raises(ModuleNotFoundError, match=r"matbind\.base\.encoder"):
        part("bare", "encoder")


def test_every_folder_is_in_the_table() -> None:
    folders = {path.name for path in MODALITIES.iterdir() if (path / "__init__.py").exists()}

    assert folders == set(TABLE)


@pytest.mark.parametrize("name", modality_names())
def test_no_folder_imports_another(name: str) -> None:
    others = {
        (path.name, node.module)
        for path in (MODALITIES / name).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for other in set(modality_names()) - {name}
        if node.module.startswith(f"matbind.modalities.{other}")
    }

    assert others == set()


def test_only_the_table_imports_a_modality_by_name() -> None:
    by_name = re.compile(r"matbind\.modalities\.(?:" + "|".join(modality_names()) + r")\b")
    allowed = {Path(str(table.__file__)), *MODALITIES.glob("*/*.py")}
    importers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path not in allowed and by_name.search(path.read_text())
    }

    assert importers == {"data/completion/xtb.py"}  # it makes densities of states
