"""The table of descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from matbind.modalities.protocol import Excluded

NAME = TABLE = "text"
NOUN = "texts"
COLUMNS: dict[str, Any] = {"material_id": pl.String, "text": pl.String}


def value(row: Mapping[str, Any]) -> str | None:
    """Return the description of one row, None where it has none."""
    text: str | None = row["text"]
    return text


def prepared(structures: pl.DataFrame, table: pl.DataFrame, **_: Any) -> tuple[pl.DataFrame, list[Excluded]]:  # noqa: ARG001
    """Return the descriptions as they are."""
    return table.select(*COLUMNS), []
