"""The Parquet files that hold a whole data set of materials.

A records directory holds `structures.parquet` (one row a material, with its split) and a table a modality, for the
materials that have it: `dos.parquet` and so on. The files are read in chunks of rows, so a data set larger than memory
passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.modalities.material import Material
from matbind.modalities.table import part, structure_name, value_names


def columns_of(name: str) -> dict[str, Any]:
    """Return the columns that the table of a modality must have, with their Polars types."""
    return part(name, "records").COLUMNS


def table_path(directory: Path, name: str) -> Path:
    """Return the path of a modality's table in a directory of tables."""
    return directory / f"{part(name, 'records').TABLE}.parquet"


def read_table(path: Path, name: str) -> pl.DataFrame:
    """Read the Parquet table of a modality and check that it has its columns.

    Args:
        path: of the file.
        name: of the modality.

    Raises:
        UserError: if the file is missing or unreadable, lacks a column, has a column of another type, or repeats an id.
    """
    stored = stored_columns(path, name)
    with _readable(path):
        frame = pl.read_parquet(path)
    for column, dtype in columns_of(name).items():
        try:
            if dtype == pl.List(pl.Int16) and stored[column] in (pl.List(pl.Float64), pl.List(pl.Float32)):
                raise pl.exceptions.InvalidOperationError  # a cast would cut off what is behind the point
            frame = frame.with_columns(pl.col(column).cast(dtype, strict=True))
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{path}: column {column} has type {stored[column]}, expected {dtype}") from error
    ids = frame["material_id"]
    if ids.null_count():
        raise UserError(f"{path}: material_id is missing in row {ids.is_null().arg_max()}, expected one in every row")
    repeated = ids.filter(ids.is_duplicated())
    if len(repeated):
        raise UserError(f"{path}: material_id {repeated[0]!r} stands in more than one row, expected one row each")
    return frame


def stored_columns(path: Path, name: str) -> pl.Schema:
    """Read which columns a Parquet table has, and check that those of the modality are among them.

    Raises:
        UserError: if the file is missing or unreadable, or lacks a column.
    """
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, expected a Parquet table of {part(name, 'records').NOUN}")
    with _readable(path):
        stored = pl.Schema(pl.read_parquet_schema(path))
    missing = [column for column in columns_of(name) if column not in stored]
    if missing:
        raise UserError(f"{path}: column {missing[0]} is missing, expected {', '.join(columns_of(name))}")
    return stored


def checked_columns(path: Path, name: str) -> pl.Schema:
    """Read which columns a Parquet table has, and check that those of the modality hold what they should as it is.

    Numbers may be wider or narrower; texts and integers may be nothing else.

    Raises:
        UserError: if the file is missing or unreadable, lacks a column, or has a column of another type.
    """
    stored = stored_columns(path, name)
    for column, dtype in columns_of(name).items():
        if not _fits(stored[column], dtype):
            raise UserError(f"{path}: column {column} has type {stored[column]}, expected {dtype}")
    return stored


def batches(path: Path, name: str, *, rows: int) -> Iterator[pl.DataFrame]:
    """Read a table batch by batch, in order.

    Args:
        path: the Parquet file, as checked by :func:`checked_columns`.
        name: of the modality.
        rows: most rows of a batch.

    Yields:
        All columns, those of the modality with its types (null where a value has none), and `row`, counted from 0
        through the file.

    Raises:
        UserError: if a part of the file cannot be read.
    """
    casts = [pl.col(column).cast(dtype, strict=False) for column, dtype in columns_of(name).items()]
    start = 0
    for batch in arrow_batches(path, rows=rows):
        yield pl.DataFrame(pl.from_arrow(batch)).with_columns(casts).with_row_index("row", offset=start)
        start += len(batch)


def arrow_batches(path: Path, *, rows: int) -> Iterator[Any]:
    """Read the record batches of a Parquet file, decoded as they are asked for.

    Raises:
        UserError: if a part of the file cannot be read.
    """
    import pyarrow.parquet as pq

    with _readable(path), pq.ParquetFile(path, pre_buffer=False, memory_map=True) as file:
        yield from file.iter_batches(batch_size=rows)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:  # what pyarrow raises is one of the last two
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: this is not a whole Parquet file ({reason})") from error


def _fits(stored: Any, expected: Any) -> bool:
    """Return whether values of one type may stand where another is expected."""
    if isinstance(stored, pl.List | pl.Array) and isinstance(expected, pl.List):
        return _fits(stored.inner, expected.inner)
    if expected.is_float():
        return bool(stored.is_numeric())
    if expected.is_integer():
        return bool(stored.is_integer())
    return bool(stored == expected)


class Records:
    """Read access to a records directory, in the fixed order of `structures.parquet`."""

    def __init__(self, directory: Path) -> None:
        """Open the directory; see :func:`read_table` for errors."""
        self.directory = directory
        path = table_path(directory, structure_name())
        self.structures = read_table(path, structure_name())
        if "split" not in self.structures.columns:
            raise UserError(f"{path}: column split is missing, expected the records that the prepare stage writes")

    def __len__(self) -> int:
        return len(self.structures)

    def table(self, name: str) -> pl.DataFrame:
        """Return the table of one modality, one row a material that holds it."""
        return self.structures if name == structure_name() else read_table(table_path(self.directory, name), name)

    def materials(self, *, chunk_size: int = 2048, only: tuple[str, ...] | None = None) -> Iterator[Material]:
        """Yield every material in order.

        Args:
            chunk_size: materials in memory at a time.
            only: modalities besides the structure to attach; None for all.

        Raises:
            UserError: if a table is missing, unreadable or lacks a column.
        """
        paths = {name: table_path(self.directory, name) for name in value_names() if only is None or name in only}
        for name, path in paths.items():
            stored_columns(path, name)
        for start in range(0, len(self), chunk_size):
            chunk = self.structures.slice(start, chunk_size)
            in_chunk = pl.col("material_id").is_in(chunk["material_id"].implode())
            values: dict[str, dict[str, Any]] = {}
            for name, path in paths.items():
                with _readable(path):
                    frame = pl.scan_parquet(path).select(*columns_of(name)).filter(in_chunk).collect()
                values[name] = {row["material_id"]: part(name, "records").value(row) for row in _arrays(frame)}
            for row in chunk.iter_rows(named=True):
                material_id = row["material_id"]
                present = {
                    name: by_id[material_id] for name, by_id in values.items() if by_id.get(material_id) is not None
                }
                structure = part(structure_name(), "records").value(row)
                yield Material(material_id, row["formula"], structure, row["split"], present)


def _arrays(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    columns = {name: frame[name] for name in frame.columns}
    for i in range(len(frame)):
        yield {name: (column[i].to_numpy() if name in lists else column[i]) for name, column in columns.items()}
