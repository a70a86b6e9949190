"""Results of a long computation, one row a material, kept as they come: a run that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import written_whole


def digest(*values: Any) -> str:
    """Name what a result was computed from, in 32 hexadecimal digits: arrays by their bytes, all else by its text."""
    state = blake2b(digest_size=16)
    for value in values:
        content = value.tobytes() if hasattr(value, "tobytes") else str(value).encode()
        state.update(len(content).to_bytes(8, "little") + content)
    return state.hexdigest()


class Ledger:
    """A directory of Parquet parts with a row for every material that was worked on: its result, or why it has none.

    A part is written whole or not at all. A row counts for a material only while the material's digest is the one it
    was computed from, so changed or new materials are computed anew and all others are not. The later of two rows wins.
    """

    def __init__(self, directory: Path, schema: dict[str, Any]) -> None:
        """Open a ledger, or begin one.

        Args:
            directory: of the parts; made if it is not there.
            schema: the columns of a result and their types, without material_id, digest and reason.

        Raises:
            UserError: if a part is unreadable or has other columns.
        """
        self._directory = directory
        self._schema = {"material_id": pl.String, "digest": pl.String, "reason": pl.String} | schema
        self._columns = list(schema)
        directory.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, tuple[str, bool]] = {}  # id: digest, whether it failed
        for path in self._parts():
            self._note(_read_state(path, list(self._schema)))

    def open_items(self, items: Iterable[tuple[str, str]], *, retry_failed: bool = False) -> list[int]:
        """Return the positions of the (material_id, digest) without a row, and if asked for of those that failed."""
        positions = []
        for i, (material_id, wanted) in enumerate(items):
            known, failed = self._known.get(material_id, ("", False))
            if known != wanted or (failed and retry_failed):
                positions.append(i)
        return positions

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep some rows for good: material_id, digest, and either the columns of a result or a reason."""
        if not rows:
            return
        frame = pl.DataFrame([{key: row.get(key) for key in self._schema} for row in rows], schema=self._schema)
        parts = self._parts()
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
        with written_whole(self._directory / f"part-{number:06d}.parquet") as path:
            frame.write_parquet(path, compression="zstd")
        self._note(frame)

    def results(self, items: Iterable[tuple[str, str]], columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return material_id and columns (by default all) of those (material_id, digest) that have a result.

        The order and the rows depend on the items alone, not on when or in how many runs the results were made.
        """
        names = self._columns if columns is None else list(columns)
        return self._rows(items, names).filter(pl.col("reason").is_null()).select("material_id", *names)

    def failures(self, items: Iterable[tuple[str, str]]) -> pl.DataFrame:
        """Return the (material_id, digest) that have no result, with the reason."""
        return self._rows(items, []).filter(pl.col("reason").is_not_null()).select("material_id", "reason")

    def _rows(self, items: Iterable[tuple[str, str]], columns: list[str]) -> pl.DataFrame:
        wanted = pl.DataFrame(list(items), schema={"material_id": pl.String, "digest": pl.String}, orient="row")
        names = ["material_id", "digest", "reason", *columns]
        rows = pl.DataFrame(schema={name: self._schema[name] for name in names})
        if parts := self._parts():
            in_items = pl.col("material_id").is_in(wanted["material_id"].implode())
            rows = pl.scan_parquet(parts).select(names).filter(in_items).collect()
        rows = rows.unique(["material_id", "digest"], keep="last", maintain_order=True)
        return wanted.join(rows, on=["material_id", "digest"], how="inner", maintain_order="left")

    def _parts(self) -> list[Path]:
        return sorted(self._directory.glob("part-*.parquet"))

    def _note(self, rows: pl.DataFrame) -> None:
        for material_id, made_from, reason in rows.select("material_id", "digest", "reason").iter_rows():
            self._known[material_id] = (made_from, reason is not None)


def _read_state(path: Path, columns: list[str]) -> pl.DataFrame:
    """Return material_id, digest and reason of a part, which has to have all the columns."""
    try:
        rows = pl.scan_parquet(path).select(columns)
        rows.collect_schema()
        return rows.select("material_id", "digest", "reason").collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: this part of an earlier run cannot be used ({reason}), expected the columns "
            f"{', '.join(columns)}; remove it to compute its materials anew"
        ) from error
