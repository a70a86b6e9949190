"""The table of pair distribution functions; each is computed from the structure unless one was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from matbind.materials.neighbors import neighbor_graph
from matbind.materials.structure import Structure, structure_of
from matbind.modalities.protocol import Excluded

from .settings import RecordsSettings

NAME = TABLE = "pdf"
NOUN = "pair distribution functions"
COLUMNS: dict[str, Any] = {"material_id": pl.String, "density": pl.List(pl.Float32)}
"""Units: density atoms / angstrom, neighbours of an atom a distance, on the radii of `prepare.pdf`."""
WIDTH_ANGSTROM = 0.1


def value(row: Mapping[str, Any]) -> Any:
    """Return the densities of one row, shape (n_points,)."""
    return row["density"]


def prepared(
    structures: pl.DataFrame,
    table: pl.DataFrame,
    *,
    settings: RecordsSettings,
    seed: int,
) -> tuple[pl.DataFrame, list[Excluded]]:
    """Keep what was measured and compute the rest."""
    measured = dict(table.select("material_id", "density").iter_rows())
    rows = [
        (row["material_id"], measured.get(row["material_id"], computed(structure_of(row), settings).tolist()))
        for row in structures.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row"), []


def computed(structure: Structure, settings: RecordsSettings) -> Any:
    """Compute the function of a crystal: a Gaussian at the distance of every neighbour."""
    radii = np.linspace(*settings.radius_angstrom, settings.n_points)
    graph = neighbor_graph(structure, cutoff_angstrom=settings.radius_angstrom[1] + 1, max_neighbors=64)
    distances = graph.distance[graph.neighbor >= 0]
    shape = np.exp(-(((radii[:, None] - distances) / WIDTH_ANGSTROM) ** 2) / 2)
    return shape.sum(axis=1) / (structure.n_sites * WIDTH_ANGSTROM * np.sqrt(2 * np.pi))
