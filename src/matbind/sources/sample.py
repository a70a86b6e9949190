"""A directory of Parquet tables (structures, and where there are any dos, text, pxrd), such as the embedded sample."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from matbind.records import read_table
from matbind.sources.raw import EXCLUDED, RawTables


def read(directory: Path) -> RawTables:
    """Read the tables of a directory; all but `structures.parquet` may be missing.

    What whoever wrote the directory could not get is in `excluded.parquet` or `failed.parquet`.

    Raises:
        UserError: if a table is unreadable or lacks a column; see :func:`matbind.records.read_table`.
    """
    paths = {name: directory / f"{name}.parquet" for name in ("dos", "text", "pxrd")}
    tables = {name: read_table(path, name) for name, path in paths.items() if path.exists()}
    lists = [directory / name for name in ("excluded.parquet", "failed.parquet")]
    lost = [pl.read_parquet(path, columns=list(EXCLUDED)) for path in lists if path.exists()]
    structures = read_table(directory / "structures.parquet", "structures")
    return RawTables(structures, **tables, excluded=pl.concat([pl.DataFrame(schema=EXCLUDED), *lost]))
