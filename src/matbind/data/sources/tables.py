"""A directory of Parquet tables: structures, and the values of other modalities where there are any."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from matbind.data.sources.raw import EXCLUDED, RawTables
from matbind.modalities.records import read_table, table_path
from matbind.modalities.table import structure_name, value_names


def read(directory: Path) -> RawTables:
    """Read the tables of a directory; all but `structures.parquet` may be missing.

    What whoever wrote the directory could not get is in `excluded.parquet` or `failed.parquet`.

    Raises:
        UserError: if a table is unreadable or lacks a column; see :func:`matbind.modalities.records.read_table`.
    """
    paths = {name: table_path(directory, name) for name in value_names()}
    values = {name: read_table(path, name) for name, path in paths.items() if path.exists()}
    lists = [directory / name for name in ("excluded.parquet", "failed.parquet")]
    lost = [pl.read_parquet(path, columns=list(EXCLUDED)) for path in lists if path.exists()]
    structures = read_table(table_path(directory, structure_name()), structure_name())
    return RawTables(structures, values, excluded=pl.concat([pl.DataFrame(schema=EXCLUDED), *lost]))
