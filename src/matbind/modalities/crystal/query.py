"""A crystal as CIF or POSCAR."""

from __future__ import annotations

from pathlib import Path

from matbind.materials.contacts import overlap
from matbind.materials.structure import Structure
from matbind.modalities.crystal.files import read_structure
from matbind.modalities.reading import read_as_file

COLUMNS = {
    "cif": "a crystal structure, the text of a CIF file",
    "poscar": "a crystal structure, the text of a POSCAR file",
}
EXAMPLE = {"poscar": "NaCl\n5.64\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\nNa Cl\n1 1\ndirect\n0 0 0 Na\n0.5 0.5 0.5 Cl\n"}
_FILE_NAMES = {"cif": "query.cif", "poscar": "POSCAR"}


def read(column: str, text: str, *, records: None) -> Structure:  # noqa: ARG001
    """Read a structure.

    Args:
        column: which of `COLUMNS`.
        text: content of the file.
        records: none.

    Raises:
        ValueError: if it is no crystal structure, or atoms overlap.
    """
    structure = read_as_file(text, _FILE_NAMES[column], read_structure).structure
    fault = overlap(structure)
    if fault is not None:
        raise ValueError(fault)
    return structure


def read_file(
    path: Path,
    *,
    records: None,  # noqa: ARG001
    wavelength: str | None,  # noqa: ARG001
    n_atoms: int | None,  # noqa: ARG001
) -> tuple[Structure, str]:
    """Read a structure file, and say what may be wrong with it."""
    read = read_structure(path)
    return read.structure, "; ".join(read.warnings)
