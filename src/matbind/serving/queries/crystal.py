"""A crystal as CIF or POSCAR."""

from __future__ import annotations

import numpy as np

from matbind.features.neighbors import neighbor_graph
from matbind.formats.structure_files import read_structure
from matbind.records import Material
from matbind.serving.queries.reading import material, read_as_file
from matbind.settings import Settings

COLUMNS = {
    "cif": "a crystal structure, the text of a CIF file",
    "poscar": "a crystal structure, the text of a POSCAR file",
}
EXAMPLE = {"poscar": "NaCl\n5.64\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\nNa Cl\n1 1\ndirect\n0 0 0 Na\n0.5 0.5 0.5 Cl\n"}
_FILE_NAMES = {"cif": "query.cif", "poscar": "POSCAR"}
SHORTEST_DISTANCE_ANGSTROM = 0.5


def read(column: str, value: str, settings: Settings) -> Material:  # noqa: ARG001
    """Read a structure.

    Args:
        column: which of `COLUMNS`.
        value: content of the file.
        settings: all settings.

    Raises:
        ValueError: if it is no crystal structure, or atoms overlap.
    """
    structure = read_as_file(value, _FILE_NAMES[column], read_structure).structure
    graph = neighbor_graph(structure, max_neighbors=1)
    near = float(graph.distance[graph.neighbor >= 0].min(initial=np.inf))
    if near < SHORTEST_DISTANCE_ANGSTROM:
        raise ValueError(f"two atoms are {near:.3f} angstrom apart, expected at least {SHORTEST_DISTANCE_ANGSTROM}")
    return material(structure)
