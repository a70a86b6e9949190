"""A directory of Parquet tables (structures, and where there are any dos, text, pxrd), such as the embedded sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from matbind.records import SCHEMAS, read_table


@dataclass(frozen=True, slots=True)
class RawTables:
    """What a source delivers, before anything is computed from it; a table that is not there is empty."""

    structures: pl.DataFrame
    dos: pl.DataFrame
    text: pl.DataFrame
    pxrd: pl.DataFrame


def read(directory: Path) -> RawTables:
    """Read the tables of a directory; all but `structures.parquet` may be missing.

    Raises:
        UserError: if a table is unreadable or lacks a column; see :func:`matbind.records.read_table`.
    """
    tables = {"structures": read_table(directory / "structures.parquet", "structures")}
    for name in ("dos", "text", "pxrd"):
        path = directory / f"{name}.parquet"
        tables[name] = read_table(path, name) if path.exists() else pl.DataFrame(schema=SCHEMAS[name])
    return RawTables(**tables)
