"""The loop of a download: what is missing is asked for in batches, kept, and what cannot be had is set apart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.ledger import Ledger, digest
from matbind.data.sources.materials_project import tables
from matbind.data.sources.materials_project.client import LENGTH_OF_REASON, Client, UnavailableError, identifier
from matbind.data.sources.materials_project.query import Query
from matbind.data.sources.raw import EXCLUDED
from matbind.modalities.table import structure_name

Rows = dict[str, dict[str, Any]]

LEDGERS: dict[str, tuple[dict[str, Any], str]] = {
    "listing": ({"ids": pl.List(pl.String), "total": pl.Int64}, "listing"),  # a row a page of ids
    "structures": (tables.STRUCTURE_COLUMNS, structure_name()),
    "text": (tables.TEXT_COLUMNS, tables.TEXT),  # null where there is none
    "calculations": ({"identifier": pl.String}, tables.DOS),  # of the density of states; null where there is none
    "dos": (tables.DOS_COLUMNS, tables.DOS),
}
"""Columns of each ledger, and the modality under which its failures are listed."""
BATCH_SIZE = 200  # materials a request
PAGE_SIZE = 1000  # ids a page of the listing: the most that the server returns at a time
IDS_OF_A_PAGE = 100  # of a query by ids: more make too long an address
ROWS_AT_ONCE = 10_000  # of a final table in memory: some 200 MB of densities


@dataclass
class Fetch:
    """What has come of a download, kept in ledgers of a directory, and the way to what is missing.

    `identity` is all that makes a download the same as an earlier one, `page_size` and `with_dos` among it; the rest is
    as for :func:`matbind.data.sources.materials_project.download.download`.
    """

    client: Client
    query: Query
    identity: dict[str, Any]
    directory: Path
    retry_failed: bool
    log: Callable[[str], None]

    def __post_init__(self) -> None:
        self._page_size = min(self.identity["page_size"], IDS_OF_A_PAGE if self.query.material_ids else PAGE_SIZE)
        self._digest = digest(json.dumps(self.identity, sort_keys=True))
        names = [name for name, (_, modality) in LEDGERS.items() if self.identity["with_dos"] or modality != tables.DOS]
        self._ledgers = {name: Ledger(self.directory / name, LEDGERS[name][0]) for name in names}

    def run(self) -> None:
        """Fetch the listing and everything that is missing.

        Raises:
            UserError: if nothing more can be had at the moment; what has come is kept.
        """
        if self._total() is None:
            self._fetch_page(1)
        for i in self._open("listing", self._names("listing")):
            self._fetch_page(i + 1)
        self._settle("structures", self._fetch_structures, self.client.database_version)
        self._settle("text", self._fetch_texts, self.client.database_version)
        if "dos" in self._ledgers:
            self._settle("calculations", self._fetch_calculations, self.client.database_version)
            fetch = partial(self._fetch_densities, self._formulas(), self._identifiers())
            self._settle("dos", fetch, self.client.check_dos_table)

    def listed(self) -> list[str]:
        """Return the ids of all pages that have come, sorted as text."""
        total = self._total() or 0
        pages = self._ledgers["listing"].results(self._items(self._names("listing")))
        starts = [(int(page.removeprefix("page-")) - 1) * self._page_size for page in pages["material_id"]]
        return sorted({name for start, ids in zip(starts, pages["ids"], strict=True) for name in ids[: total - start]})

    def sorted_rows(self, table: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a table in the order of ids, some at a time, the same whenever they came."""
        names = sorted(self._names(table))
        for start in range(0, max(len(names), 1), ROWS_AT_ONCE):
            rows = self._ledgers[table].results(self._items(names[start : start + ROWS_AT_ONCE]))
            yield rows.drop_nulls("text") if table == "text" else rows

    def failures(self) -> pl.DataFrame:
        """Return every material and page that did not come: material_id, modality (or listing) and reason."""
        failed = (
            ledger.failures(self._items(self._names(name))).with_columns(modality=pl.lit(LEDGERS[name][1]))
            for name, ledger in self._ledgers.items()
        )
        return pl.concat(failed).select(*EXCLUDED).sort("material_id", "modality")

    def _names(self, ledger: str) -> list[str]:
        """Return what a ledger should hold, in the order in which it is asked for."""
        match ledger:
            case "listing":
                return [_page(number) for number in range(1, -(-(self._total() or 0) // self._page_size) + 1)]
            case "structures":
                return self.listed()
            case "text" | "calculations":
                return list(self._formulas())
            case _:
                return list(self._identifiers())

    def _items(self, names: Iterable[str]) -> list[tuple[str, str]]:
        return [(name, self._digest) for name in names]

    def _open(self, ledger: str, names: list[str]) -> list[int]:
        return self._ledgers[ledger].open_items(self._items(names), retry_failed=self.retry_failed)

    def _add(self, ledger: str, rows: Rows) -> None:
        self._ledgers[ledger].add([{"material_id": name, "digest": self._digest, **row} for name, row in rows.items()])

    def _total(self) -> int | None:
        """Return the number of materials on all pages, once the first page is there."""
        first = self._ledgers["listing"].results(self._items([_page(1)]))
        return None if first.is_empty() else min(int(first["total"][0]), self.query.limit or int(first["total"][0]))

    def _formulas(self) -> dict[str, str]:
        """Return the formula of every structure that has come."""
        return dict(self._ledgers["structures"].results(self._items(self.listed()), ["formula"]).iter_rows())

    def _identifiers(self) -> dict[str, str]:
        """Return the identifier of every density of states, in the order of their table."""
        calculations = self._ledgers["calculations"].results(self._items(self._formulas())).drop_nulls()
        return dict(calculations.sort("identifier", "material_id").iter_rows())

    def _fetch_page(self, number: int) -> None:
        try:
            ids, total = self.client.page(self.query, number, size=self._page_size)
            row: dict[str, Any] = {"ids": ids, "total": total}
        except UnavailableError as error:
            self.client.database_version()
            if self._total() is None:
                raise UserError(
                    f"the materials cannot be listed ({error}), expected the first page of their ids"
                ) from None
            row = {"reason": str(error)}
        self._add("listing", {_page(number): row})
        self.log(f"listing: page {number} of {len(self._names('listing'))}")

    def _fetch_structures(self, batch: Sequence[str]) -> Rows:
        documents = self.client.documents(batch)
        missing = {"reason": "the server returned no document for this id"}
        return {name: _row(tables.structure_row, documents[name]) if name in documents else missing for name in batch}

    def _fetch_texts(self, batch: Sequence[str]) -> Rows:
        descriptions = self.client.descriptions(batch)
        return {name: _row(tables.text_row, descriptions.get(name)) for name in batch}

    def _fetch_calculations(self, batch: Sequence[str]) -> Rows:
        tasks = self.client.dos_tasks(batch)
        return {name: _row(_identified, tasks.get(name)) for name in batch}

    def _fetch_densities(self, formulas: dict[str, str], identifiers: dict[str, str], batch: Sequence[str]) -> Rows:
        densities = self.client.dos_rows([identifiers[name] for name in batch])
        rows: Rows = {}
        for name in batch:
            row = densities.get(identifiers[name])
            missing = {"reason": f"the table of densities of states has no calculation {identifiers[name]}"}
            rows[name] = _row(tables.dos_row, row, formula=formulas[name]) if row else missing
        return rows

    def _settle(self, ledger: str, fetch: Callable[[Sequence[str]], Rows], check: Callable[[], object]) -> None:
        """Ask for what is missing, batch by batch, and keep every batch as it comes."""
        began_s = time.monotonic()
        names = self._names(ledger)
        missing = [names[i] for i in self._open(ledger, names)]
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            self._add(ledger, self._rows(batch, fetch, check))
            n_now = start + len(batch)
            rate = n_now / max(time.monotonic() - began_s, 1e-9)
            hours, minutes = divmod(int((len(missing) - n_now) / rate / 60), 60)
            n_known = len(names) - len(missing) + n_now
            self.log(f"{ledger}: {n_known} of {len(names)}, {rate:.1f} a second, {hours} h {minutes:02d} min left")

    def _rows(
        self, batch: Sequence[str], fetch: Callable[[Sequence[str]], Rows], check: Callable[[], object], depth: int = 0
    ) -> Rows:
        """Fetch a batch; if it fails while the server is there, halve it until the material at fault is alone.

        Raises:
            UserError: if it is not this batch: the server is not there, or asks to slow down.
        """
        try:
            with self.client.hurried() if depth else nullcontext():
                return fetch(batch)
        except UnavailableError as error:
            check()
            if len(batch) == 1:
                return {batch[0]: {"reason": str(error)}}
        middle = len(batch) // 2
        halves = (self._rows(half, fetch, check, depth + 1) for half in (batch[:middle], batch[middle:]))
        return {name: row for rows in halves for name, row in rows.items()}


def _identified(task: str | None) -> dict[str, Any]:
    return {"identifier": task and identifier(task)}


def _row(read: Callable[..., dict[str, Any]], document: Any, **options: Any) -> dict[str, Any]:
    try:
        return read(document, **options)
    except Exception as error:  # noqa: BLE001  # whatever a document holds, it concerns one material
        return {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:LENGTH_OF_REASON]}


def _page(number: int) -> str:
    return f"page-{number:05d}"
