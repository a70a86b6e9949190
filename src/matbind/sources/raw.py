"""What every source delivers, before anything is computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
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
