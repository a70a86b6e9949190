"""Documents of the Materials Project as rows of matbind's tables."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl

from matbind.materials.structure import Structure, row_of
from matbind.modalities.records import columns_of
from matbind.modalities.table import part, structure_name

DOS, TEXT = "dos", "text"
STRUCTURE_COLUMNS: dict[str, Any] = {
    **{name: dtype for name, dtype in part(structure_name(), "files").COLUMNS.items() if name != "warning"},
    "band_gap": pl.Float64,
    "formation_energy_per_atom": pl.Float64,
    "e_above_hull": pl.Float64,
}
DOS_COLUMNS: dict[str, Any] = {
    **{name: dtype for name, dtype in columns_of(DOS).items() if name != "material_id"},
    "n_atoms": pl.Int32,
}
TEXT_COLUMNS: dict[str, Any] = {name: dtype for name, dtype in columns_of(TEXT).items() if name != "material_id"}


def structure_row(document: dict[str, Any]) -> dict[str, Any]:
    """Make the columns of `structures.parquet` from a summary document.

    Args:
        document: with `structure` and, where known, `band_gap` (eV), `formation_energy_per_atom` and
            `energy_above_hull` (eV/atom).

    Returns:
        A row; `site_index` and `occupancy` are null unless a site is shared or partly empty. The formula is the
        reduced one of the structure itself.

    Raises:
        ValueError: the structure or a number is not what it should be.
    """
    if not document.get("structure"):
        raise ValueError("the document holds no structure")
    crystal = _reader().validate_python(document["structure"])
    return row_of(Structure.from_pymatgen(crystal), crystal.composition.reduced_formula) | {
        "band_gap": _number(document, "band_gap"),
        "formation_energy_per_atom": _number(document, "formation_energy_per_atom"),
        "e_above_hull": _number(document, "energy_above_hull"),
    }


def dos_row(row: dict[str, Any], *, formula: str) -> dict[str, Any]:
    """Make the columns of `dos.parquet` from a row of the table of total densities of states.

    The densities are those of the calculation's cell, states / eV / cell, summed over the spins (one that was not spin
    polarised holds both in one). That cell is the row's own structure and may differ from the summary's, which can come
    from another calculation, so `n_atoms` counts the sites of the former; it is null where the row has no structure,
    which means: take it for the cell of the material. `efermi` is as given, on the scale of the energies.

    Args:
        row: as the table's engine gives it.
        formula: the reduced formula of the material.

    Raises:
        ValueError: the arrays do not fit together, or the calculation is of another compound.
    """
    from emmet.core.band_theory import ElectronicDos

    document = ElectronicDos(**row)
    if not document.energies or not (document.spin_up_densities or document.spin_down_densities):
        raise ValueError("the density of states is empty")
    dos = document.to_pmg()
    energies, densities = np.asarray(dos.energies, dtype=float), np.asarray(dos.get_densities(), dtype=float)
    if energies.shape != densities.shape:
        raise ValueError(f"{len(energies)} energies and {len(densities)} densities, expected as many")
    if not np.isfinite([*energies, *densities, dos.efermi]).all():
        raise ValueError("the density of states holds a value that is not finite")
    if not (np.diff(energies) > 0).all():
        raise ValueError("the energies of the density of states do not ascend")
    cell = document.structure
    if cell is not None and cell.composition.reduced_formula != formula:
        raise ValueError(f"the density of states is of {cell.composition.reduced_formula}, the material of {formula}")
    return {
        "energies": energies.tolist(),
        "densities": densities.tolist(),
        "efermi": float(dos.efermi),
        "n_atoms": None if cell is None else len(cell),
    }


def text_row(description: Any) -> dict[str, Any]:
    """Make the column of `text.parquet` from a description; null for a material that has none, as many have not.

    Raises:
        ValueError: the description is no text.
    """
    if not isinstance(description, str | None):
        raise ValueError(f"the description is {description!r}, expected a text")  # noqa: TRY004  # a document's fault
    return {"text": (description or "").strip() or None}


@cache
def _reader() -> Any:
    """Return what turns the structure of a document into one of pymatgen, as in emmet's document models."""
    from emmet.core.types.pymatgen_types.structure_adapter import StructureType
    from pydantic import TypeAdapter

    return TypeAdapter(StructureType)


def _number(document: dict[str, Any], name: str) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, expected a number")  # noqa: TRY004  # a fault of the document
    return float(value)
