"""The Parquet files that hold a whole data set of materials.

A records directory holds `structures.parquet` (one row a material, with its split) and a table a modality, for the
materials that have it: `dos.parquet` and so on. The tables of values are read in one pass, some rows at a time, so a
data set larger than memory passes. They have the order of the structures, as `prepare` writes them; a table in another
order is sorted through files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.modalities.material import Material
from matbind.modalities.table import part, structure_name, value_names

ROWS_READ = 256  # of a table at a time
ROWS_SORTED = 2048  # in memory at a time where a table has to be sorted first


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
    _check_ids(frame["material_id"], path)
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


def _check_ids(ids: pl.Series, path: Path) -> None:
    if ids.null_count():
        raise UserError(f"{path}: material_id is missing in row {ids.is_null().arg_max()}, expected one in every row")
    repeated = ids.filter(ids.is_duplicated())
    if len(repeated):
        raise UserError(f"{path}: material_id {repeated[0]!r} stands in more than one row, expected one row each")


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

    def materials(self, *, only: tuple[str, ...] | None = None) -> Iterator[Material]:
        """Yield every material in order, from one pass over every table.

        Args:
            only: modalities besides the structure to attach; None for all.

        Raises:
            UserError: if a table is missing, unreadable, lacks a column, or repeats an id.
        """
        tables = {name: self._values(name) for name in value_names() if only is None or name in only}
        nothing_more = (len(self), None)
        following = {name: next(table, nothing_more) for name, table in tables.items()}
        structure_part = part(structure_name(), "records")
        for place, row in enumerate(self.structures.iter_rows(named=True)):
            present: dict[str, Any] = {}
            for name, table in tables.items():
                if following[name][0] == place:
                    present[name] = following[name][1]
                    following[name] = next(table, nothing_more)
            yield Material(row["material_id"], row["formula"], structure_part.value(row), row["split"], present)

    def _values(self, name: str) -> Iterator[tuple[int, Any]]:
        """Yield the values of a modality, each with the place of its material, ascending."""
        path = table_path(self.directory, name)
        stored_columns(path, name)
        with _readable(path):
            ids = pl.read_parquet(path, columns=["material_id"])
        _check_ids(ids["material_id"], path)
        order = self.structures.select("material_id").with_row_index("place")
        places = ids.join(order, on="material_id", how="left", maintain_order="left")["place"]
        table = (
            batch.with_columns(place=places.gather(batch["row"])).drop_nulls("place")
            for batch in batches(path, name, rows=ROWS_READ)
        )
        for batch in table if places.drop_nulls().is_sorted() else _sorted(table):
            for row in _arrays(batch):
                value = part(name, "records").value(row)
                if value is not None:
                    yield row["place"], value


def _sorted(table: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Sort a table by `place` in one pass and with little memory: each stretch of places goes through a file."""
    import pyarrow.parquet as pq

    stretch = pl.col("place") // ROWS_SORTED
    with TemporaryDirectory() as scratch:
        with ExitStack() as open_files:
            writers: dict[Any, Any] = {}
            for batch in table:
                for (number,), rows in batch.group_by(stretch):
                    written = rows.to_arrow()
                    if number not in writers:
                        writer = pq.ParquetWriter(Path(scratch) / f"{number}.parquet", written.schema)
                        writers[number] = open_files.enter_context(writer)
                    writers[number].write_table(written)
        for number in sorted(writers):
            yield pl.read_parquet(Path(scratch) / f"{number}.parquet").sort("place")


def _arrays(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    columns = {name: frame[name] for name in frame.columns}
    for i in range(len(frame)):
        yield {name: (column[i].to_numpy() if name in lists else column[i]) for name, column in columns.items()}
