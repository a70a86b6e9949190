"""A crystal as CIF or POSCAR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from matbind.materials.neighbors import neighbor_graph
from matbind.materials.structure import Structure
from matbind.modalities.crystal.files import read_structure
from matbind.modalities.reading import read_as_file

COLUMNS = {
    "cif": "a crystal structure, the text of a CIF file",
    "poscar": "a crystal structure, the text of a POSCAR file",
}
EXAMPLE = {"poscar": "NaCl\n5.64\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\nNa Cl\n1 1\ndirect\n0 0 0 Na\n0.5 0.5 0.5 Cl\n"}
_FILE_NAMES = {"cif": "query.cif", "poscar": "POSCAR"}
SHORTEST_DISTANCE_ANGSTROM = 0.5


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
    graph = neighbor_graph(structure, max_neighbors=1)
    near = float(graph.distance[graph.neighbor >= 0].min(initial=np.inf))
    if near < SHORTEST_DISTANCE_ANGSTROM:
        raise ValueError(f"two atoms are {near:.3f} angstrom apart, expected at least {SHORTEST_DISTANCE_ANGSTROM}")
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
