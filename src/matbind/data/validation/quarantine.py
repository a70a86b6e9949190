"""From failed checks to the rows that leave the data set, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.data.validation.outcome import Outcome

SCHEMA = {
    "material_id": pl.String,
    "modality": pl.String,
    "expectation": pl.String,
    "reason": pl.String,
    "observed": pl.Float64,
    "row": pl.Int64,
}
"""Columns of `quarantine.parquet`: one line a failed expectation, `row` counts from 0 in the table of the modality."""

UNMEASURED = "measured"
"""The expectation that all measures of a value could be computed."""

WITH_STRUCTURE = "structure_valid"
"""The expectation that a value fails whose material lost its structure."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One table after it was judged.

    Attributes:
        summary: one row a value.
        outcomes: of every expectation.
        quarantine: lines of the quarantine table for values that have a fault themselves.
        with_structure: lines for values that leave because their structure does.
    """

    summary: pl.DataFrame
    outcomes: list[Outcome]
    quarantine: pl.DataFrame
    with_structure: pl.DataFrame

    @classmethod
    def of(cls, modality: str, summary: pl.DataFrame, outcomes: list[Outcome], *, sound_ids: pl.Series | None) -> Self:
        """Set aside what fails.

        Args:
            modality: of the table.
            summary: one row a value.
            outcomes: of every expectation.
            sound_ids: ids of the structures that stay; None for the structures themselves.
        """
        quarantine = quarantined(outcomes, summary, modality=modality)
        with_structure = quarantine.clear()
        if sound_ids is not None:
            with_structure = lost_with_structure(summary, quarantine, sound_ids, modality=modality)
        return cls(summary, outcomes, quarantine, with_structure)

    @property
    def n_quarantined(self) -> int:
        """Number of rows that have a fault themselves."""
        return self.quarantine["row"].n_unique()

    @property
    def keep(self) -> npt.NDArray[np.bool_]:
        """Which rows stay, shape (n_rows,)."""
        keep = np.ones(len(self.summary), dtype=np.bool_)
        for lines in (self.quarantine, self.with_structure):
            keep[lines["row"].to_numpy()] = False
        return keep


def with_identity(summary: pl.DataFrame, structure_ids: pl.Series) -> pl.DataFrame:
    """Add to summary rows whether their id is known and used once.

    Of rows with one id and the same content the first is as good as any, and stays. Where the content differs nobody
    can say which row the id belongs to: all fail. Rows with all measures equal count as the same content.

    Args:
        summary: one row a value, with row, material_id and measures.
        structure_ids: ids of all structures.

    Returns:
        The summary with n_same_id and known_material, null without an id.
    """
    id_ = pl.col("material_id")
    named = id_.is_not_null() & (id_.str.strip_chars() != "")
    others = pl.when(pl.col("content").n_unique().over("material_id") > 1).then(pl.len().over("material_id") - 1)
    n_same_id = pl.when(named).then(others.otherwise(pl.int_range(pl.len()).over("material_id"))).otherwise(0)
    known = id_.is_in(structure_ids.drop_nulls().implode())
    measures = {"n_same_id": n_same_id, "known_material": known}
    with_content = summary.with_columns(content=summary.drop("row").hash_rows())
    return with_content.with_columns(**{n: value.cast(pl.Float64) for n, value in measures.items()}).drop("content")


def quarantined(outcomes: Sequence[Outcome], summary: pl.DataFrame, *, modality: str) -> pl.DataFrame:
    """List the failed expectations, one line a row and expectation, in the order of the rows.

    A row whose measures could not be computed is listed for that only if nothing else says why.
    """
    ids = summary["material_id"].to_numpy()
    lines = []
    explained: set[int] = set()
    for outcome in sorted(outcomes, key=lambda outcome: outcome.name == UNMEASURED):
        if not outcome.refuses or not outcome.rows:  # without rows it is about the table as a whole
            continue
        for row, value, reason in zip(outcome.rows, outcome.values, outcome.reasons, strict=True):
            if outcome.name == UNMEASURED and row in explained:
                continue
            explained.add(row)
            observed = float(value) if isinstance(value, int | float) else None
            lines.append((ids[row], modality, outcome.name, reason, observed, row))
    return pl.DataFrame(lines, schema=SCHEMA, orient="row").sort("row", maintain_order=True)


def lost_with_structure(
    summary: pl.DataFrame, faulty: pl.DataFrame, sound_ids: pl.Series, *, modality: str
) -> pl.DataFrame:
    """List, as lines of the quarantine table, the values without a fault whose structure is in quarantine.

    Args:
        summary: one row a value.
        faulty: lines of the quarantine table for values that have a fault.
        sound_ids: ids of the structures that stay.
        modality: of the values.
    """
    lost = summary.filter(
        ~pl.col("material_id").is_in(sound_ids.implode()) & ~pl.col("row").is_in(faulty["row"].implode())
    )
    return lost.select(
        "material_id",
        pl.lit(modality).alias("modality"),
        pl.lit(WITH_STRUCTURE).alias("expectation"),
        pl.lit("its structure is in quarantine").alias("reason"),
        pl.lit(None, dtype=pl.Float64).alias("observed"),
        pl.col("row").cast(pl.Int64),
    )
