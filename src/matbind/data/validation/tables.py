"""Reading the Parquet tables of a records directory batch by batch, with every fault of a whole file named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.modalities.records import columns_of


def check_table(path: Path, name: str) -> list[str]:
    """Check that a table can be read at all.

    Returns:
        The names of its columns.

    Raises:
        UserError: if the file is missing or broken, lacks a column, or has a column of another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise UserError(f"{path}: the file does not exist, expected a Parquet table of {name}")
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: this is not a whole Parquet file ({_first_line(error)})") from error
    found = pl.DataFrame(pl.from_arrow(schema.empty_table())).schema
    for column, dtype in columns_of(name).items():
        if column not in found:
            raise UserError(f"{path}: column {column} is missing, expected {', '.join(columns_of(name))}")
        if not _fits(found[column], dtype if isinstance(dtype, pl.DataType) else dtype()):
            raise UserError(f"{path}: column {column} has type {found[column]}, expected {dtype}")
    return list(found)


def batches(path: Path, name: str, *, rows: int) -> Iterator[pl.DataFrame]:
    """Every row of a table in order, some thousand at a time.

    Args:
        path: the Parquet file, as checked by :func:`check_table`.
        name: of the modality.
        rows: most rows of a batch.

    Yields:
        All columns, those of the schema with its types, and `row`, counted from 0 through the file.

    Raises:
        UserError: if a part of the file cannot be read.
    """
    start = 0
    for batch in arrow_batches(path, rows=rows):
        frame = pl.DataFrame(pl.from_arrow(batch))
        frame = frame.with_columns(
            pl.col(column).cast(dtype, strict=False) for column, dtype in columns_of(name).items()
        )
        yield frame.with_row_index("row", offset=start)
        start += len(frame)


def arrow_batches(path: Path, *, rows: int) -> Iterator[Any]:
    """Record batches of a Parquet file, decoded as they are asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, memory_map=True) as file:
            yield from file.iter_batches(batch_size=rows)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: this is not a whole Parquet file ({_first_line(error)})") from error


def _fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    if isinstance(found, pl.List | pl.Array) and isinstance(wanted, pl.List):
        return _fits(_inner(found), _inner(wanted))
    if wanted.is_float():
        return found.is_numeric()
    if wanted.is_integer():
        return found.is_integer()
    return found == wanted


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    inner = dtype.inner
    return inner if isinstance(inner, pl.DataType) else inner()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
