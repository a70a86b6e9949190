"""The table of densities of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from matbind.materials.structure import FloatArray
from matbind.modalities.protocol import Excluded

NAME = TABLE = "dos"
NOUN = "densities of states"
COLUMNS: dict[str, Any] = {
    "material_id": pl.String,
    "energies": pl.List(pl.Float32),
    "densities": pl.List(pl.Float32),
    "efermi": pl.Float64,
}
"""Units: energies and efermi eV, densities states / eV / cell."""


@dataclass(frozen=True, slots=True)
class Dos:
    """Total electronic density of states."""

    energies_ev: FloatArray  # ascending energies on the scale of the calculation, shape (n,)
    densities: FloatArray  # states / eV / cell, both spins, shape (n,)
    efermi_ev: float  # Fermi energy on the same scale


def value(row: Mapping[str, Any]) -> Dos:
    """Make the density of states of one row."""
    return Dos(row["energies"].astype(float), row["densities"].astype(float), float(row["efermi"]))


def prepared(structures: pl.DataFrame, table: pl.DataFrame, **_: Any) -> tuple[pl.DataFrame, list[Excluded]]:
    """Scale each density to the cell its material is given in.

    A source may count the states of another cell, such as the primitive one, whose sites are the column `n_atoms`.
    """
    if "n_atoms" not in table.columns:
        return table.select(*COLUMNS), []
    sites = structures.select("material_id", n_sites=pl.col("frac_coords").list.len() / 3)
    factor = (pl.col("n_sites") / pl.col("n_atoms")).fill_null(1.0).cast(pl.Float32)
    joined = table.join(sites, on="material_id", how="left", maintain_order="left")
    return joined.with_columns(densities=pl.col("densities") * factor).select(*COLUMNS), []
