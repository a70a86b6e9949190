"""What has come of a download so far, kept beside its directory, and the tables that are made of it in the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json
from matbind.base.ledger import Ledger, digest
from matbind.data.sources.materials_project.tables import DOS_COLUMNS, STRUCTURE_COLUMNS

Table = Literal["structures", "calculations", "dos"]
Identity = dict[str, Any]

COLUMNS: dict[Table, dict[str, Any]] = {
    "structures": STRUCTURE_COLUMNS,
    "calculations": {"identifier": pl.String},  # of the density of states; null where there is none
    "dos": DOS_COLUMNS,
}
MODALITIES: dict[Table, str] = {"structures": "crystal", "calculations": "dos", "dos": "dos"}
PAGE = "page-"
FAILED = {"material_id": pl.String, "modality": pl.String, "reason": pl.String}
ROWS_AT_ONCE = 10_000  # of a final table in memory: some 200 MB of densities
LETTERS_OF_A_SHARD = 5  # of the 8 of an identifier: at most 17,576 calculations, of which few are of this kind


class Parts:
    """Ledgers of the listing (a row a page of ids), of the structures of each page, and of densities of states.

    A ledger of its own for every page keeps small what is read at once. Densities of states are asked for, and kept, in
    the order of the table they come from: neighbours there are read in one go.
    """

    def __init__(self, directory: Path, identity: Identity) -> None:
        """Open the parts of an earlier call, or begin.

        Args:
            directory: of the parts.
            identity: what is downloaded: query, with_dos, page_size and the version of the database.

        Raises:
            UserError: the parts are those of another download.
        """
        path = directory / "query.json"
        if path.exists():
            check_same(path, read_json(path), identity)
        else:
            directory.mkdir(parents=True, exist_ok=True)
            write_json(path, identity)
        self._directory = directory
        self._digest = digest(json.dumps(identity, sort_keys=True))
        self.page_size: int = identity["page_size"]
        self._limit: int | None = identity["query"]["limit"]
        self._listing = Ledger(directory / "listing", {"ids": pl.List(pl.String), "total": pl.Int64})

    def items(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Names with the digest under which the ledgers hold them."""
        return [(name, self._digest) for name in names]

    def add_page(self, number: int, **row: Any) -> None:
        """Keep a page of the listing: `ids` and `total`, or a `reason`."""
        self._listing.add([{"material_id": _page(number), "digest": self._digest, **row}])

    def total(self) -> int | None:
        """Materials on all pages, once the first page is there."""
        first = self._listing.results(self.items([_page(1)]))
        return None if first.is_empty() else min(int(first["total"][0]), self._limit or int(first["total"][0]))

    def n_pages(self) -> int:
        """Pages of the listing."""
        return -(-(self.total() or 0) // self.page_size)

    def open_pages(self, *, retry_failed: bool) -> list[int]:
        """Pages that have not come; those that failed only if asked for."""
        numbers = range(1, self.n_pages() + 1)
        items = self.items([_page(number) for number in numbers])
        return [numbers[i] for i in self._listing.open_items(items, retry_failed=retry_failed)]

    def members(self) -> dict[str, list[str]]:
        """The ids of each page that has come, sorted; one that stands on two pages counts for the first."""
        seen: set[str] = set()
        pages: dict[str, list[str]] = {}
        total = self.total() or 0
        items = self.items([_page(number) for number in range(1, self.n_pages() + 1)])
        for name, ids, _ in self._listing.results(items).iter_rows():
            wanted = ids[: total - (int(name.removeprefix(PAGE)) - 1) * self.page_size]
            pages[name] = sorted(set(wanted) - seen)
            seen.update(wanted)
        return pages

    def calculations(self) -> dict[str, dict[str, str]]:
        """The identifiers of densities of states by material, in shards, all in the order of identifiers."""
        rows = [row for frame in self.results("calculations", self.members()) for row in frame.iter_rows()]
        shards: dict[str, dict[str, str]] = {}
        for name, identifier in sorted((row for row in rows if row[1]), key=lambda row: (row[1], row[0])):
            shards.setdefault(identifier[:LETTERS_OF_A_SHARD], {})[name] = identifier
        return shards

    def ledger(self, table: Table, shard: str) -> Ledger:
        """Where the rows of a page's materials, or of a shard of densities of states, are kept."""
        return Ledger(self._directory / table / shard, COLUMNS[table])

    def add(self, ledger: Ledger, rows: dict[str, dict[str, Any]]) -> None:
        """Keep rows by id: the columns of the table, or a `reason`."""
        ledger.add([{"material_id": name, "digest": self._digest, **row} for name, row in rows.items()])

    def results(self, table: Table, shards: Mapping[str, Iterable[str]]) -> Iterator[pl.DataFrame]:
        """The rows of a table, shard by shard."""
        for shard, names in shards.items():
            yield self.ledger(table, shard).results(self.items(names))

    def sorted_rows(self, table: Table) -> Iterator[pl.DataFrame]:
        """All rows of a table in the order of ids (as text), some at a time, the same whenever they came.

        The shards are read once for every `ROWS_AT_ONCE` rows.
        """
        shards: Mapping[str, Iterable[str]] = self.calculations() if table == "dos" else self.members()
        names = pl.Series(sorted(name for shard in shards.values() for name in shard), dtype=pl.String)
        empty = pl.DataFrame(schema={"material_id": pl.String, **COLUMNS[table]})
        for start in range(0, max(len(names), 1), ROWS_AT_ONCE):
            wanted = pl.col("material_id").is_in(names[start : start + ROWS_AT_ONCE].implode())
            yield pl.concat([empty, *(frame.filter(wanted) for frame in self.results(table, shards))]).sort(
                "material_id"
            )

    def failures(self, *, with_dos: bool) -> pl.DataFrame:
        """Every material and page that did not come: material_id, modality (crystal, dos, listing) and reason."""
        items = self.items([_page(number) for number in range(1, self.n_pages() + 1)])
        found = [self._listing.failures(items).with_columns(modality=pl.lit("listing"))]
        pages = self.members()
        shards: dict[Table, Mapping[str, Iterable[str]]] = {"structures": pages}
        if with_dos:
            shards |= {"calculations": pages, "dos": self.calculations()}
        for table, names in shards.items():
            for shard, own in names.items():
                failed = self.ledger(table, shard).failures(self.items(own))
                found.append(failed.with_columns(modality=pl.lit(MODALITIES[table])))
        return pl.concat(found).select(*FAILED).sort("material_id", "modality")


def check_same(path: Path, found: Any, identity: Identity) -> None:
    """Make sure that an earlier call was about the same materials.

    Raises:
        UserError: it was not; the message says in which point.
    """
    for name, expected in identity.items():
        if not isinstance(found, dict) or found.get(name) != expected:
            is_now = "now" if name == "database_version" else "in this call"
            raise UserError(
                f"{path}: it belongs to a download with {name} {_get(found, name)}, {is_now} it is "
                f"{json.dumps(expected)}; expected the same, or remove {path.parent} to begin anew"
            )


@contextmanager
def held_alone(directory: Path) -> Iterator[None]:
    """Let no second process work on the same parts.

    Raises:
        UserError: one does.
    """
    import fcntl

    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{directory}: another process is downloading into it, expected one at a time") from error
        yield


def _get(found: Any, name: str) -> str:
    return json.dumps(found.get(name) if isinstance(found, dict) else found)


def _page(number: int) -> str:
    return f"{PAGE}{number:05d}"
