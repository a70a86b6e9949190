"""Structures: whole, of known elements and plausible distances, true to their formula, on one side of the split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.materials.contacts import group_sums
from matbind.materials.formula import amounts, reduced_key
from matbind.materials.structure import FLATTEST_CELL, HEAVIEST_ATOMIC_NUMBER, OCCUPANCY_TOLERANCE
from matbind.modalities.crystal.duplicates import duplicate_groups
from matbind.modalities.crystal.settings import ValidationSettings
from matbind.modalities.crystal.sites import geometry, species
from matbind.modalities.material import SPLITS
from matbind.modalities.ragged import Ragged, ragged

SMALLEST_AMOUNT = 1e-12  # stands for none where amounts are divided by their sum


class Validator:
    """Checks of structures, each alone and then against the others."""

    batch_rows = 8192

    def __init__(self, settings: ValidationSettings, *, crystals: None = None, records: None = None) -> None:  # noqa: ARG002
        self.settings = settings
        self.parameters = {
            "flattest_cell": FLATTEST_CELL,
            "occupancy_tolerance": OCCUPANCY_TOLERANCE,
            "least_occupancy": settings.min_site_occupancy if settings.partial_occupancy else 1 - OCCUPANCY_TOLERANCE,
            "most_species": None if settings.partial_occupancy else 1,
        }

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure every structure by itself; a measure that the arrays do not allow is null."""
        lattice, numbers, coords = (ragged(batch[name]) for name in ("lattice", "atomic_numbers", "frac_coords"))
        stated = {name: ragged(batch[name]) if name in batch.columns else None for name in ("site_index", "occupancy")}
        site, occupancy, shape_faults = species(numbers, coords, lattice, stated["site_index"], stated["occupancy"])
        not_finite = sum(
            group_sums(~np.isfinite(array.values), array.offsets) for array in (lattice, coords, occupancy)
        )
        heaviest = self.settings.heaviest_element
        unsupported = group_sums((numbers.values < 1) | (numbers.values > heaviest), numbers.offsets)
        measures: dict[str, Any] = {
            "n_shape_faults": shape_faults,
            "n_not_finite": not_finite,
            "n_unsupported": unsupported,
            "n_sites": coords.lengths // 3,
        }
        sound = np.flatnonzero((shape_faults == 0) & (np.asarray(not_finite) == 0) & (unsupported == 0))
        measures |= geometry(sound, lattice=lattice, numbers=numbers, coords=coords, site=site, occupancy=occupancy)
        keys, measures["formula_distance"] = _formulas(batch["formula"], numbers, occupancy, sound)
        split = batch["split"] if "split" in batch.columns else pl.Series([None] * len(batch), dtype=pl.String)
        return batch.select("row", "material_id", "formula").with_columns(
            split.alias("split"),
            pl.Series("formula_key", keys),
            split.is_in(SPLITS).fill_null(value=False).cast(pl.Float64).alias("split_known"),
            *(
                pl.Series(name, np.asarray(values, dtype=np.float64), nan_to_null=True)
                for name, values in measures.items()
            ),
        )

    def compare(self, summary: pl.DataFrame, structures: pl.DataFrame) -> pl.DataFrame:
        """Add n_formula_elsewhere, n_duplicates_elsewhere and duplicate_of, which :func:`duplicate_groups` numbers."""
        group = pl.Series("duplicate_of", range(len(summary)))
        if self.settings.duplicates is not None:
            group = duplicate_groups(structures, summary, self.settings.duplicates)
        elsewhere = pl.len().over("duplicate_of") - pl.len().over("duplicate_of", "split")
        conflicting = pl.when(pl.col("n_formula_elsewhere") > 0).then(elsewhere).otherwise(0)
        return summary.with_columns(split_conflicts(summary), group).with_columns(
            conflicting.cast(pl.Float64).alias("n_duplicates_elsewhere")
        )


def split_conflicts(summary: pl.DataFrame) -> pl.Series:
    """Count for every structure how many of its formula are on another side; only those to be removed count.

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
    main = sides.group_by("formula_key", maintain_order=True).agg(
        pl.col("split").first().alias("main_side"), pl.col("n").first().alias("n_main_side")
    )
    joined = summary.join(main, on="formula_key", how="left", maintain_order="left")
    conflicting = pl.col("split").ne_missing(pl.col("main_side")) & pl.col("main_side").is_not_null()
    n_elsewhere = pl.when(conflicting).then("n_main_side").otherwise(0)
    return joined.select(n_elsewhere.cast(pl.Float64).alias("n_formula_elsewhere")).to_series()


def _formulas(
    formulas: pl.Series, numbers: Ragged, occupancy: Ragged, sound: npt.NDArray[np.int64]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return a key of every formula, "" where it is none, and how far an element's share is from the atoms' at most."""
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
    """Return the share of every element, by atomic number, in each row of amounts."""
    total = np.bincount(rows, amounts_of, shape[0])
    share = amounts_of / np.maximum(total, SMALLEST_AMOUNT)[rows]
    return np.bincount(rows * shape[1] + numbers, share, shape[0] * shape[1]).astype(np.float64).reshape(shape)
