"""What every source delivers, before anything is computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from matbind.records import SCHEMAS

EXCLUDED: dict[str, Any] = {"material_id": pl.String, "modality": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class RawTables:
    """Tables with at least the columns of `matbind.records.SCHEMAS`; one that a source does not have is empty.

    Attributes:
        structures: one row a material.
        dos: of the materials that have one.
        text: of the materials that have one.
        pxrd: measured patterns, on the 2-theta grid of `prepare.pxrd`.
        excluded: what the source could not read: material_id, modality (crystal, dos, pxrd, text) and the reason.
    """

    structures: pl.DataFrame
    dos: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=SCHEMAS["dos"]))
    text: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=SCHEMAS["text"]))
    pxrd: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=SCHEMAS["pxrd"]))
    excluded: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=EXCLUDED))


def with_completed(raw: RawTables, directory: Path) -> RawTables:
    """The tables with the texts and densities of states that were made for materials without (stage complete)."""
    order = raw.structures["material_id"]
    made = {name: pl.read_parquet(directory / f"{name}.parquet") for name in ("dos", "text")}
    return replace(raw, dos=merged(raw.dos, made["dos"], order), text=merged(raw.text, made["text"], order))


def merged(brought: pl.DataFrame, made: pl.DataFrame, order: pl.Series) -> pl.DataFrame:
    """One table of what a source brought and what was made for the others.

    Args:
        brought: a table of the source; its columns come first.
        made: a table of :func:`complete`, of other materials.
        order: material ids of all structures; rows of the source without a structure come last.
    """
    everything = pl.concat([brought, made], how="diagonal_relaxed")
    rank = pl.DataFrame({"material_id": order}).with_row_index("rank")
    return (
        everything.join(rank, on="material_id", how="left", maintain_order="left")
        .sort("rank", nulls_last=True, maintain_order=True)
        .drop("rank")
    )
