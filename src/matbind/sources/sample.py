"""A directory of Parquet tables (structures, and where there are any dos, text, pxrd), such as the embedded sample."""

from __future__ import annotations

from pathlib import Path

from matbind.records import read_table
from matbind.sources.raw import RawTables


def read(directory: Path) -> RawTables:
    """Read the tables of a directory; all but `structures.parquet` may be missing.

    Raises:
        UserError: if a table is unreadable or lacks a column; see :func:`matbind.records.read_table`.
    """
    paths = {name: directory / f"{name}.parquet" for name in ("dos", "text", "pxrd")}
    tables = {name: read_table(path, name) for name, path in paths.items() if path.exists()}
    return RawTables(read_table(directory / "structures.parquet", "structures"), **tables)
