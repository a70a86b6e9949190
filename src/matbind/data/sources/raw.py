"""What every source delivers, before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from matbind.modalities.records import columns_of, table_path
from matbind.modalities.table import value_names

EXCLUDED: dict[str, Any] = {"material_id": pl.String, "modality": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class RawTables:
    """Tables with at least the columns that `records.py` of each modality names.

    Attributes:
        structures: one row a material.
        values: by modality, of the materials that hold it; patterns are on the 2-theta grid of `prepare.pxrd`.
        excluded: what the source could not read: material_id, modality and the reason.
    """

    structures: pl.DataFrame
    values: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    excluded: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=EXCLUDED))

    def table(self, name: str) -> pl.DataFrame:
        """Return the values of one modality; a table without rows where the source has none."""
        return self.values.get(name, pl.DataFrame(schema=columns_of(name)))


def with_completed(raw: RawTables, directory: Path) -> RawTables:
    """Return the tables with what was made for materials that came without (stage complete)."""
    order = raw.structures["material_id"]
    paths = {name: table_path(directory, name) for name in value_names()}
    made = {name: pl.read_parquet(path) for name, path in paths.items() if path.exists()}
    return replace(raw, values={**raw.values, **{n: merged(raw.table(n), table, order) for n, table in made.items()}})


def merged(brought: pl.DataFrame, made: pl.DataFrame, order: pl.Series) -> pl.DataFrame:
    """Return one table of what a source brought and what was made for the others.

    Args:
        brought: a table of the source; its columns come first.
        made: a table of :func:`matbind.data.completion.complete.complete`, of other materials.
        order: material ids of all structures; rows of the source without a structure come last.
    """
    everything = pl.concat([brought, made], how="diagonal_relaxed")
    rank = pl.DataFrame({"material_id": order}).with_row_index("rank")
    return (
        everything.join(rank, on="material_id", how="left", maintain_order="left")
        .sort("rank", nulls_last=True, maintain_order=True)
        .drop("rank")
    )
