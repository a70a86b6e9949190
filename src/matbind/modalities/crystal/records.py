"""The table of crystal structures."""

from __future__ import annotations

from typing import Any

import polars as pl

from matbind.materials.structure import structure_of
from matbind.modalities.protocol import Excluded

NAME, TABLE = "crystal", "structures"
NOUN = "structures"
COLUMNS: dict[str, Any] = {
    "material_id": pl.String,
    "formula": pl.String,
    "lattice": pl.List(pl.Float64),
    "atomic_numbers": pl.List(pl.Int16),
    "frac_coords": pl.List(pl.Float64),
}
"""Units: lattice angstrom, row-major 3 x 3."""
value = structure_of
OPTIONAL_COLUMNS = ("site_index", "occupancy", "band_gap", "formation_energy_per_atom", "e_above_hull", "source")


def prepared(structures: pl.DataFrame, table: pl.DataFrame, **_: Any) -> tuple[pl.DataFrame, list[Excluded]]:  # noqa: ARG001
    """Return the structures with the columns that the records keep."""
    kept = [*COLUMNS, *(column for column in OPTIONAL_COLUMNS if column in structures.columns)]
    return structures.select(kept), []
