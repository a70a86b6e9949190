"""A material as the project knows it, and the Parquet files that hold a whole data set of them.

A records directory holds `structures.parquet` (one row a material, with its split) and, for the materials that have
them, `dos.parquet`, `pxrd.parquet` and `text.parquet`. The files are read in chunks of rows, so a data set larger than
memory passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.errors import UserError
from matbind.structure import Structure

FloatArray = npt.NDArray[np.float64]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

SCHEMAS: dict[str, dict[str, Any]] = {
    "structures": {
        "material_id": pl.String,
        "formula": pl.String,
        "lattice": pl.List(pl.Float64),
        "atomic_numbers": pl.List(pl.Int16),
        "frac_coords": pl.List(pl.Float64),
    },
    "dos": {
        "material_id": pl.String,
        "energies": pl.List(pl.Float32),
        "densities": pl.List(pl.Float32),
        "efermi": pl.Float64,
    },
    "pxrd": {
        "material_id": pl.String,
        "pattern": pl.List(pl.Float32),
        "simulated": pl.Boolean,
    },
    "text": {"material_id": pl.String, "text": pl.String},
}
"""Columns every table must have. Units: lattice angstrom (row-major 3 x 3), energies and efermi eV, densities
states / eV / cell, pattern in [0, 1] on the 2-theta grid of `prepare.pxrd`."""

OPTIONAL_COLUMNS = ("site_index", "occupancy", "band_gap", "formation_energy_per_atom", "e_above_hull", "source")


@dataclass(frozen=True, slots=True)
class Dos:
    """Total electronic density of states.

    Attributes:
        energies_ev: ascending energies on the scale of the calculation, shape (n,).
        densities: states / eV / cell, both spins, shape (n,).
        efermi_ev: Fermi energy on the same scale.
    """

    energies_ev: FloatArray
    densities: FloatArray
    efermi_ev: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """A powder pattern on the 2-theta grid of the data set.

    Attributes:
        intensity: in [0, 1], shape (n_points,); NaN where nothing was measured.
        simulated: whether it was computed from the structure, so that training may compute it anew.
    """

    intensity: npt.NDArray[np.float32]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Material:
    """One material with whatever modalities it holds."""

    material_id: str
    formula: str
    structure: Structure
    split: Split
    dos: Dos | None = None
    pxrd: Pattern | None = None
    text: str | None = None


def read_table(path: Path, table: str) -> pl.DataFrame:
    """Read one Parquet table and check that it has its columns.

    Raises:
        UserError: if the file is missing or unreadable, lacks a column, has a column of another type, or repeats an id.
    """
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, expected a Parquet table of {table}")
    with _readable(path):
        frame = pl.read_parquet(path)
    for column, dtype in SCHEMAS[table].items():
        if column not in frame.columns:
            raise UserError(f"{path}: column {column} is missing, expected {', '.join(SCHEMAS[table])}")
        found = frame.schema[column]
        try:
            if dtype == pl.List(pl.Int16) and found in (pl.List(pl.Float64), pl.List(pl.Float32)):
                raise pl.exceptions.InvalidOperationError  # a cast would cut off what is behind the point
            frame = frame.with_columns(pl.col(column).cast(dtype, strict=True))
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{path}: column {column} has type {found}, expected {dtype}") from error
    ids = frame["material_id"]
    if ids.null_count():
        raise UserError(f"{path}: material_id is missing in row {ids.is_null().arg_max()}, expected one in every row")
    repeated = ids.filter(ids.is_duplicated())
    if len(repeated):
        raise UserError(f"{path}: material_id {repeated[0]!r} stands in more than one row, expected one row each")
    return frame


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: this is not a whole Parquet file ({reason})") from error


def structure_of(row: dict[str, Any]) -> Structure:
    """The structure of one row of `structures.parquet`.

    Raises:
        ValueError: if the arrays do not fit together or describe no crystal.
    """
    lattice = np.asarray(row["lattice"], dtype=float)
    coords = np.asarray(row["frac_coords"], dtype=float)
    if lattice.shape != (9,):
        raise ValueError(f"lattice has {lattice.size} numbers, expected 9")
    if coords.size == 0 or coords.size % 3:
        raise ValueError(f"frac_coords has {coords.size} numbers, expected 3 a site")
    numbers = np.asarray(row["atomic_numbers"], dtype=np.int64)
    lattice, coords = lattice.reshape(3, 3), coords.reshape(-1, 3)
    if row.get("site_index") is None:
        return Structure.ordered(lattice, coords, numbers)
    occupancy = np.asarray(row["occupancy"], dtype=float)
    return Structure(lattice, coords, np.asarray(row["site_index"], dtype=np.int64), numbers, occupancy)


class Records:
    """Read access to a records directory, in the fixed order of `structures.parquet`."""

    def __init__(self, directory: Path) -> None:
        """Open the directory; see :func:`read_table` for errors."""
        self.directory = directory
        path = directory / "structures.parquet"
        self.structures = read_table(path, "structures")
        if "split" not in self.structures.columns:
            raise UserError(f"{path}: column split is missing, expected the records that the prepare stage writes")
        self._tables = {name: directory / f"{name}.parquet" for name in ("dos", "pxrd", "text")}

    def __len__(self) -> int:
        return len(self.structures)

    def table(self, name: str) -> pl.DataFrame:
        """The table of one modality, one row a material that holds it."""
        return self.structures if name == "structures" else read_table(self._tables[name], name)

    def materials(
        self, *, chunk_size: int = 2048, only: tuple[str, ...] = ("dos", "pxrd", "text")
    ) -> Iterator[Material]:
        """Every material in order.

        Args:
            chunk_size: materials held in memory at a time.
            only: modalities besides the structure to attach; one without a table of its own is made of the structure.

        Raises:
            UserError: if a table is missing, unreadable or lacks a column.
        """
        tables = {name: self._tables[name] for name in only if name in self._tables}
        for name, path in tables.items():
            _check_columns(path, name)
        for start in range(0, len(self), chunk_size):
            chunk = self.structures.slice(start, chunk_size)
            wanted = pl.col("material_id").is_in(chunk["material_id"].implode())
            attached = {}
            for name, path in tables.items():
                with _readable(path):
                    frame = pl.scan_parquet(path).select(*SCHEMAS[name]).filter(wanted).collect()
                attached[name] = {row["material_id"]: row for row in _arrays(frame)}
            for row in chunk.iter_rows(named=True):
                extra = {name: rows.get(row["material_id"]) for name, rows in attached.items()}
                yield _material(row, extra)


def _check_columns(path: Path, table: str) -> None:
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, expected a Parquet table of {table}")
    with _readable(path):
        found = pl.read_parquet_schema(path)
    missing = [column for column in SCHEMAS[table] if column not in found]
    if missing:
        raise UserError(f"{path}: column {missing[0]} is missing, expected {', '.join(SCHEMAS[table])}")


def _arrays(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    columns = {name: frame[name] for name in frame.columns}
    for i in range(len(frame)):
        yield {name: (column[i].to_numpy() if name in lists else column[i]) for name, column in columns.items()}


def _material(row: dict[str, Any], extra: dict[str, dict[str, Any] | None]) -> Material:
    dos, pxrd, text = extra.get("dos"), extra.get("pxrd"), extra.get("text")
    return Material(
        material_id=row["material_id"],
        formula=row["formula"],
        structure=structure_of(row),
        split=row["split"],
        dos=Dos(dos["energies"].astype(float), dos["densities"].astype(float), float(dos["efermi"])) if dos else None,
        pxrd=Pattern(pxrd["pattern"], bool(pxrd["simulated"])) if pxrd else None,
        text=text["text"] if text else None,
    )
