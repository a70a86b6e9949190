"""Descriptions from text files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matbind.base.content import read_text, refusals_of
from matbind.base.text_columns import MOSTLY_NUMBERS, share_of_rows
from matbind.modalities.text.records import COLUMNS as TABLE_COLUMNS

SUFFIXES = (".txt", ".md")
QUALIFIERS: tuple[str, ...] = ()
COLUMNS: dict[str, Any] = {name: dtype for name, dtype in TABLE_COLUMNS.items() if name != "material_id"}


def likeness(path: Path) -> float:
    """Return 1 if a file is no table of numbers."""
    return float(share_of_rows(read_text(path)) < MOSTLY_NUMBERS)


def row(path: Path, **_: Any) -> dict[str, Any]:
    """Read a description as a row of `COLUMNS`."""
    with refusals_of(path):
        return {"text": read_text(path).strip()}
