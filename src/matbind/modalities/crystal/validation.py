"""Structures: whole, of known elements and plausible distances, with their own formula, on one side of the split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from matbind.base.config import Range, StrictModel
from matbind.materials.contacts import HEAVIEST_WITH_RADIUS, group_sums
from matbind.materials.formula import amounts, reduced_key
from matbind.materials.structure import FLATTEST_CELL, HEAVIEST_ATOMIC_NUMBER, OCCUPANCY_TOLERANCE
from matbind.modalities.checks import Check
from matbind.modalities.crystal.duplicates import DuplicateSettings as DuplicateSettings
from matbind.modalities.crystal.duplicates import duplicate_groups as duplicate_groups
from matbind.modalities.crystal.sites import geometry, species
from matbind.modalities.material import SPLITS
from matbind.modalities.ragged import Ragged, ragged

FORMULA_TOLERANCE = 0.01  # of the share of an element: formulas of disordered crystals are rounded
SMALLEST_AMOUNT = 1e-12  # stands for none where amounts are divided by their sum
BATCH_ROWS = 8192


class Settings(StrictModel):
    """What a structure must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the structures is bad.
        heaviest_element: largest atomic number that is supported.
        min_distance_angstrom: shortest allowed distance of two atoms, of whatever elements.
        contact: smallest and largest allowed value of a structure's shortest distance in units of the sum of the two
            covalent radii; crystals of noble gases may exceed it.
        volume_per_atom_angstrom3: smallest and largest.
        volume_per_covalent_volume: smallest and largest cell volume in units of the atoms' covalent spheres.
        max_fractional: largest size of a fractional coordinate; larger ones are Cartesian by mistake.
        partial_occupancy: whether sites may be mixed or partly empty.
        min_site_occupancy: smallest allowed sum of a site's occupancies.
        duplicates: when two structures are the same; null does not look for duplicates.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    heaviest_element: int = Field(ge=1, le=HEAVIEST_WITH_RADIUS)
    min_distance_angstrom: float = Field(gt=0)
    contact: Range
    volume_per_atom_angstrom3: Range
    volume_per_covalent_volume: Range
    max_fractional: float = Field(ge=1)
    partial_occupancy: bool
    min_site_occupancy: float = Field(ge=0, le=1)
    duplicates: DuplicateSettings | None


SPLIT_CHECKS = (
    Check(
        "formula_on_one_side",
        "n_formula_elsewhere",
        None,
        0,
        "materials of its formula on another side of the split: {value}",
    ),
    Check(
        "duplicate_on_one_side",
        "n_duplicates_elsewhere",
        None,
        0,
        "copies of it on another side of the split: {value}",
    ),
)
"""What is expected of the table as a whole, by columns that compare each structure with the others."""


def checks(settings: Settings) -> tuple[Check, ...]:
    """What is expected of the columns of :func:`summarize`."""
    low, high = settings.volume_per_atom_angstrom3
    low_share, high_share = settings.volume_per_covalent_volume
    least = settings.min_site_occupancy if settings.partial_occupancy else 1 - OCCUPANCY_TOLERANCE
    most_species = None if settings.partial_occupancy else 1
    return (
        Check(
            "arrays_fit",
            "n_shape_faults",
            None,
            0,
            "lattice, coordinates, species and occupancies do not fit together in {value} ways",
        ),
        Check("finite", "n_not_finite", None, 0, "numbers that are missing, NaN or infinite: {value}"),
        Check("elements_supported", "n_unsupported", None, 0, "sites with an element that is not supported: {value}"),
        Check(
            "cell_spans_volume",
            "flatness",
            FLATTEST_CELL,
            None,
            "the cell is flat: its volume is {value} of the product of its edges",
        ),
        Check(
            "coordinates_fractional",
            "largest_coordinate",
            None,
            settings.max_fractional,
            "a coordinate is {value}: it is not fractional",
        ),
        Check("occupancy_stated", "smallest_occupancy", least, None, "a site is occupied to {value} only"),
        Check(
            "occupancy_at_most_one", "largest_occupancy", None, 1 + OCCUPANCY_TOLERANCE, "a site is occupied to {value}"
        ),
        Check("species_per_site", "most_species", 1, most_species, "species on one site: {value}"),
        Check(
            "min_distance",
            "min_distance_angstrom",
            settings.min_distance_angstrom,
            None,
            "two atoms are {value} angstrom apart",
        ),
        Check(
            "no_overlap",
            "shortest_contact",
            settings.contact[0],
            None,
            "two atoms are {value} times their covalent radii apart",
        ),
        Check(
            "atoms_in_contact",
            "bonded_contact",
            None,
            settings.contact[1],
            "its closest atoms are {value} times their covalent radii apart",
            optional=True,
        ),
        Check(
            "volume_per_atom", "volume_per_atom_angstrom3", low, high, "the volume is {value} cubic angstrom an atom"
        ),
        Check(
            "volume_fits_elements",
            "volume_per_covalent_volume",
            low_share,
            high_share,
            "the volume is {value} times that of the atoms",
        ),
        Check(
            "formula_of_atoms",
            "formula_distance",
            None,
            FORMULA_TOLERANCE,
            "the formula's share of an element differs from the atoms' by {value}",
        ),
        Check("split_known", "split_known", 1, None, "the split is none of " + ", ".join(SPLITS)),
    )


def summarize(batch: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """One summary row a structure.

    Args:
        batch: rows of `structures.parquet` with `row`.
        settings: which elements are supported.

    Returns:
        Columns row, material_id, formula, split, formula_key and the measures that :func:`checks` name; a measure that
        the arrays do not allow is null.
    """
    lattice, numbers, coords = (ragged(batch[name]) for name in ("lattice", "atomic_numbers", "frac_coords"))
    stated = {name: ragged(batch[name]) if name in batch.columns else None for name in ("site_index", "occupancy")}
    site, occupancy, shape_faults = species(numbers, coords, lattice, stated["site_index"], stated["occupancy"])
    not_finite = sum(group_sums(~np.isfinite(array.values), array.offsets) for array in (lattice, coords, occupancy))
    unsupported = group_sums((numbers.values < 1) | (numbers.values > settings.heaviest_element), numbers.offsets)
    measures: dict[str, Any] = {
        "n_shape_faults": shape_faults,
        "n_not_finite": not_finite,
        "n_unsupported": unsupported,
        "n_sites": coords.lengths // 3,
    }
    sound = np.flatnonzero((shape_faults == 0) & (np.asarray(not_finite) == 0) & (unsupported == 0))
    measures |= geometry(sound, lattice=lattice, numbers=numbers, coords=coords, site=site, occupancy=occupancy)
    keys, distance = _formulas(batch["formula"], numbers, occupancy, sound)
    measures["formula_distance"] = distance
    split = batch["split"] if "split" in batch.columns else pl.Series([None] * len(batch), dtype=pl.String)
    return batch.select("row", "material_id", "formula").with_columns(
        split.alias("split"),
        pl.Series("formula_key", keys),
        split.is_in(SPLITS).fill_null(value=False).cast(pl.Float64).alias("split_known"),
        *(pl.Series(name, np.asarray(values, dtype=np.float64), nan_to_null=True) for name, values in measures.items()),
    )


def split_conflicts(summary: pl.DataFrame) -> pl.Series:
    """For every structure, how many of its formula are on another side; only those to be removed count.

    The side that holds most materials of the formula keeps them; in a tie the first of train, validation, test does.
    """
    order = pl.col("split").replace_strict(
        {side: i for i, side in enumerate(SPLITS)}, default=len(SPLITS), return_dtype=pl.Int8
    )
    sides = (
        summary.filter(pl.col("formula_key") != "")
        .group_by("formula_key", "split")
        .agg(pl.len().alias("n"))
        .with_columns(order.alias("order"))
        .sort("n", "order", descending=[True, False])
    )
    home = sides.group_by("formula_key", maintain_order=True).agg(
        pl.col("split").first().alias("home"), pl.col("n").first().alias("n_home")
    )
    joined = summary.join(home, on="formula_key", how="left", maintain_order="left")
    elsewhere = (
        pl.when(pl.col("split").ne_missing(pl.col("home")) & pl.col("home").is_not_null()).then("n_home").otherwise(0)
    )
    return joined.select(elsewhere.cast(pl.Float64).alias("n_formula_elsewhere")).to_series()


def _formulas(
    formulas: pl.Series, numbers: Ragged, occupancy: Ragged, sound: npt.NDArray[np.int64]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """A key of every formula ("" where it is none), and how far an element's share is from the atoms' at most."""
    n_elements = HEAVIEST_ATOMIC_NUMBER + 1
    unique = formulas.unique(maintain_order=True)
    parts = [amounts(formula) for formula in unique]
    rank = {formula: i for i, formula in enumerate(unique)}
    of_row = np.array([rank[formula] for formula in formulas], dtype=np.int64)
    stated = _shares(
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        np.array([number for part in parts for number in part], dtype=np.int64),
        np.array([amount for part in parts for amount in part.values()], dtype=np.float64),
        shape=(len(parts), n_elements),
    )
    is_sound = np.zeros(len(formulas), dtype=np.bool_)
    is_sound[sound] = True
    entries = np.repeat(is_sound, numbers.lengths)
    rows = np.repeat(np.arange(len(formulas)), numbers.lengths)
    present = _shares(
        rows[entries], numbers.values[entries], occupancy.values[entries], shape=(len(formulas), n_elements)
    )
    distance = np.full(len(formulas), np.nan)
    distance[sound] = np.abs(stated[of_row[sound]] - present[sound]).max(axis=1).round(6)
    keys = [reduced_key(part) for part in parts]
    return [keys[i] for i in of_row], distance


def _shares(
    rows: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    amounts_of: npt.NDArray[np.float64],
    *,
    shape: tuple[int, int],
) -> npt.NDArray[np.float64]:
    """Share of every element, by atomic number, in each row of amounts."""
    total = np.bincount(rows, amounts_of, shape[0])
    share = amounts_of / np.maximum(total, SMALLEST_AMOUNT)[rows]
    return np.bincount(rows * shape[1] + numbers, share, shape[0] * shape[1]).astype(np.float64).reshape(shape)
