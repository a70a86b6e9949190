"""A crystal as CIF or POSCAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def read(column: str, text: str, **_: Any) -> Structure:
    """Read a structure.

    Args:
        column: which of `COLUMNS`.
        text: content of the file.

    Raises:
        ValueError: if it is no crystal structure, or atoms overlap.
    """
    structure = read_as_file(text, _FILE_NAMES[column], read_structure).structure
    graph = neighbor_graph(structure, max_neighbors=1)
    near = float(graph.distance[graph.neighbor >= 0].min(initial=np.inf))
    if near < SHORTEST_DISTANCE_ANGSTROM:
        raise ValueError(f"two atoms are {near:.3f} angstrom apart, expected at least {SHORTEST_DISTANCE_ANGSTROM}")
    return structure


def read_file(path: Path, **_: Any) -> tuple[Structure, str]:
    """Read a structure file, and say what may be wrong with it."""
    contents = read_structure(path)
    return contents.structure, "; ".join(contents.warnings)
