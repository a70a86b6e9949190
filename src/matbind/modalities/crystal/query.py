"""A crystal as CIF or POSCAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matbind.base.content import decode
from matbind.materials.contacts import overlap
from matbind.materials.structure import Structure
from matbind.modalities.crystal.files import cif_structure, poscar_structure, read_structure

COLUMNS = {
    "cif": "a crystal structure, the text of a CIF file",
    "poscar": "a crystal structure, the text of a POSCAR file",
}
EXAMPLE = {"poscar": "NaCl\n5.64\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\nNa Cl\n1 1\ndirect\n0 0 0 Na\n0.5 0.5 0.5 Cl\n"}


def read(column: str, text: str, **_: Any) -> Structure:
    """Read a structure; one whose atoms overlap is refused."""
    if not text.strip():
        raise ValueError("the file is empty")
    read_text = cif_structure if column == "cif" else poscar_structure
    structure = read_text(decode(text.encode())).structure
    fault = overlap(structure)
    if fault is not None:
        raise ValueError(fault)
    return structure


def read_file(path: Path, **_: Any) -> tuple[Structure, str]:
    """Read a structure file, and say what may be wrong with it."""
    contents = read_structure(path)
    return contents.structure, "; ".join(contents.warnings)
