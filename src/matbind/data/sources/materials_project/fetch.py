"""The loop of a download: what is missing is asked for in batches, kept, and what cannot be had is set apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from matbind.base.errors import UserError
from matbind.data.sources.materials_project.client import LENGTH_OF_REASON, Client, identifier
from matbind.data.sources.materials_project.http import UnavailableError
from matbind.data.sources.materials_project.parts import Parts, Table
from matbind.data.sources.materials_project.query import Query
from matbind.data.sources.materials_project.tables import dos_row, structure_row

Rows = dict[str, dict[str, Any]]

ATTEMPTS_OF_A_PIECE = 2  # of a batch that failed in all attempts and is halved to find out which material it was
NO_DOS = {"identifier": None}


@dataclass(slots=True)
class Fetch:
    """One run of a download.

    Attributes:
        client: to ask.
        parts: what has come, and where what comes is kept.
        query: which materials.
        batch_size: materials a request.
        retry_failed: whether what failed in an earlier run is asked for again.
        log: is told the progress.
    """

    client: Client
    parts: Parts
    query: Query
    batch_size: int
    retry_failed: bool
    log: Callable[[str], None]

    def run(self, *, with_dos: bool) -> None:
        """Fetch the listing and everything that is missing.

        Raises:
            UserError: nothing more can be had at the moment; what has come is kept.
        """
        self._list()
        pages = self.parts.members()
        self._settle("structures", pages, self._structures, self.client.check_interface)
        if with_dos:
            self._densities(pages)

    def _list(self) -> None:
        if self.parts.total() is None:
            self._page(1)
        for number in self.parts.open_pages(retry_failed=self.retry_failed):
            self._page(number)

    def _page(self, number: int) -> None:
        try:
            ids, total = self.client.page(self.query, number, size=self.parts.page_size)
        except UnavailableError as error:
            _stop_if_too_fast(error)
            self.client.check_interface()
            if self.parts.total() is None:
                raise UserError(
                    f"the materials cannot be listed ({error}), expected the first page of their ids"
                ) from None
            self.parts.add_page(number, reason=str(error))
        else:
            self.parts.add_page(number, ids=ids, total=total)
        self.log(f"listing: page {number} of {self.parts.n_pages()}")

    def _structures(self, batch: Sequence[str]) -> Rows:
        documents = self.client.documents(batch)
        none = {"reason": "the server returned no document for this id"}
        return {name: _row(structure_row, documents[name]) if name in documents else none for name in batch}

    def _calculations(self, batch: Sequence[str]) -> Rows:
        tasks = self.client.dos_tasks(batch)
        return {name: _row(_identified, tasks[name]) if name in tasks else NO_DOS for name in batch}

    def _densities(self, pages: dict[str, list[str]]) -> None:
        """Densities of states of the structures that have come, in the order of the table they come from."""
        formulas: dict[str, str] = {}
        known: dict[str, list[str]] = {}
        for page, crystals in zip(pages, self.parts.results("structures", pages), strict=True):
            known[page] = crystals["material_id"].to_list()
            formulas |= dict(crystals.select("material_id", "formula").iter_rows())
        self._settle("calculations", known, self._calculations, self.client.check_interface)
        shards = self.parts.calculations()
        identifiers = {name: own for shard in shards.values() for name, own in shard.items()}

        def fetch(batch: Sequence[str]) -> Rows:
            found = self.client.dos_rows([identifiers[name] for name in batch])
            rows: Rows = {}
            for name in batch:
                row = found.get(identifiers[name])
                missing = {"reason": f"the table of densities of states has no calculation {identifiers[name]}"}
                rows[name] = _row(dos_row, row, formula=formulas[name]) if row else missing
            return rows

        self._settle("dos", {shard: list(names) for shard, names in shards.items()}, fetch, self.client.check_dos_table)

    def _settle(
        self,
        table: Table,
        shards: dict[str, list[str]],
        fetch: Callable[[Sequence[str]], Rows],
        check: Callable[[], None],
    ) -> None:
        """Ask for what is missing, batch by batch, and keep every batch as it comes."""
        began_s = time.monotonic()
        n_all, n_done, n_now = sum(map(len, shards.values())), 0, 0
        for shard, names in shards.items():
            ledger = self.parts.ledger(table, shard)
            missing = ledger.open_items(self.parts.items(names), retry_failed=self.retry_failed)
            n_done += len(names) - len(missing)
            for start in range(0, len(missing), self.batch_size):
                batch = [names[i] for i in missing[start : start + self.batch_size]]
                self.parts.add(ledger, self._rows(batch, fetch, check, self.client.backoff.attempts))
                n_done, n_now = n_done + len(batch), n_now + len(batch)
                rate = n_now / max(time.monotonic() - began_s, 1e-9)
                left_min = int((n_all - n_done) / rate / 60)
                self.log(
                    f"{table}: {n_done} of {n_all}, {rate:.1f} a second, "
                    f"{left_min // 60} h {left_min % 60:02d} min left"
                )

    def _rows(
        self, batch: Sequence[str], fetch: Callable[[Sequence[str]], Rows], check: Callable[[], None], attempts: int
    ) -> Rows:
        """Fetch a batch; if it fails while the server is there, halve it until the material at fault is alone.

        Raises:
            UserError: it is not this batch: the server is not there, or asks to slow down.
        """
        try:
            with self.client.backoff.limited(attempts):
                return fetch(batch)
        except UnavailableError as error:
            _stop_if_too_fast(error)
            check()
            if len(batch) == 1:
                return {batch[0]: {"reason": str(error)}}
        middle = len(batch) // 2
        halves = (self._rows(half, fetch, check, ATTEMPTS_OF_A_PIECE) for half in (batch[:middle], batch[middle:]))
        return {name: row for rows in halves for name, row in rows.items()}


def _identified(task: str) -> dict[str, Any]:
    return {"identifier": identifier(task)}


def _row(read: Callable[..., dict[str, Any]], document: Any, **options: Any) -> dict[str, Any]:
    try:
        return read(document, **options)
    except Exception as error:  # noqa: BLE001  # whatever a document holds, it concerns one material
        return {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:LENGTH_OF_REASON]}


def _stop_if_too_fast(error: UnavailableError) -> None:
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise UserError(
            f"the Materials Project asks to slow down ({error}), expected an answer after all attempts; what has come "
            "so far is kept, call again later"
        )
