"""One structure after another: its text or density of states, kept as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from matbind.base.isolated import Failure, Killable
from matbind.base.ledger import Ledger, digest
from matbind.base.parallel import Workers
from matbind.data.completion import description, xtb
from matbind.data.sources.raw import EXCLUDED
from matbind.materials.structure import Structure, structure_of
from matbind.modalities.records import columns_of
from matbind.settings.complete import CompleteSettings

Made = Literal["text", "dos"]
Report = Callable[[str], None]
CHUNK = 4  # structures handed to a worker at a time: what a killed run computes again
SECONDS_BETWEEN_PARTS = 10.0
NOUNS = {"text": "texts", "dos": "densities of states"}

COLUMNS: dict[Made, dict[str, Any]] = {
    "text": columns_of("text") | {"source": pl.String},
    "dos": columns_of("dos") | {"n_atoms": pl.Int64, "supercell": pl.List(pl.Int8), "source": pl.String},
}
"""Columns of the tables that are made. `source` is the method and its version; null for what the source brought."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A few structures, and what is wanted of them."""

    name: Made
    structures: tuple[Structure, ...]
    settings: CompleteSettings


def make(
    name: Made,
    lacking: pl.DataFrame,
    settings: CompleteSettings,
    scratch: Path,
    workers: Workers,
    *,
    retry_failed: bool,
    log: Report,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make one table, or what is not yet known of it.

    Args:
        name: of the table.
        lacking: structures without it.
        settings: how it is made.
        scratch: of the ledger that keeps the answers.
        workers: processes or threads that calculate.
        retry_failed: whether to try again what failed in an earlier run.
        log: is told the progress in sentences.

    Returns:
        The table of what could be made and, with the reason, the materials without, in the order of the structures.

    Raises:
        UserError: if a library is missing, or an earlier run's answers are unreadable.
    """
    source = description.provenance() if name == "text" else xtb.provenance()
    how = (source,) if name == "text" else (source, settings.xtb.model_dump_json())
    structures: list[Structure] = []
    items: list[tuple[str, str]] = []
    failed: list[tuple[str, str, str]] = []
    for row in lacking.iter_rows(named=True):
        try:
            structure = structure_of(row)
        except ValueError as error:
            failed.append((row["material_id"], name, str(error)))
            continue
        structures.append(structure)
        items.append((row["material_id"], _digest(structure, *how)))
    ledger = Ledger(scratch, {key: kind for key, kind in COLUMNS[name].items() if key not in {"material_id", "source"}})
    todo = sorted(ledger.open_items(items, retry_failed=retry_failed), key=lambda i: structures[i].n_sites)
    known = f", {len(items) - len(todo)} known from before" if len(todo) < len(items) else ""
    log(f"{NOUNS[name]}: {len(todo)} to make, the smallest cells first{known}")
    positions = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
    chunks = (Chunk(name, tuple(structures[i] for i in chunk), settings) for chunk in positions)
    progress = _Progress(name, [structures[i].n_sites for i in todo], log)
    rows: list[dict[str, Any]] = []
    kept_at = time.monotonic()
    try:
        for chunk, answers in zip(positions, workers.map(answers_of, chunks), strict=True):
            rows += [
                {"material_id": items[i][0], "digest": items[i][1]} | answer
                for i, answer in zip(chunk, answers, strict=True)
            ]
            progress.add(answers)
            if time.monotonic() - kept_at >= SECONDS_BETWEEN_PARTS:
                ledger.add(rows)
                rows, kept_at = [], time.monotonic()
    finally:
        ledger.add(rows)
        _end_processes()
    failed += [(each, name, reason) for each, reason in ledger.failures(items).iter_rows()]
    table = ledger.results(items).with_columns(source=pl.lit(source)).select(*COLUMNS[name])
    without = pl.DataFrame(failed, schema=EXCLUDED, orient="row")
    return table, lacking.select("material_id").join(without, on="material_id", maintain_order="left")


def _digest(structure: Structure, *how: str) -> str:
    return digest(
        structure.lattice,
        structure.frac_coords,
        structure.site_index,
        structure.atomic_number,
        structure.occupancy,
        *how,
    )


def answers_of(chunk: Chunk) -> list[dict[str, Any]]:
    """Result columns of each structure, or the reason why there are none."""
    work = _killable(chunk.name, chunk.settings)
    return [_columns(work(structure)) for structure in chunk.structures]


def _columns(answer: str | xtb.XtbDos | Failure) -> dict[str, Any]:
    if isinstance(answer, Failure):
        return {"reason": answer.reason}
    if isinstance(answer, str):
        return {"text": answer}
    return {
        "energies": answer.dos.energies_ev,
        "densities": answer.dos.densities,
        "efermi": answer.dos.efermi_ev,
        "n_atoms": answer.n_atoms,
        "supercell": list(answer.supercell),
    }


class _Processes(threading.local):
    """The killable processes of a thread, of which each kind of work has one; it serves all chunks."""

    def __init__(self) -> None:
        self.own: dict[tuple[Made, CompleteSettings], Killable[Structure, Any]] = {}


_processes = _Processes()
_started: set[Killable[Structure, Any]] = set()


def _killable(name: Made, settings: CompleteSettings) -> Killable[Structure, Any]:
    key = (name, settings)
    if key not in _processes.own:
        work: Callable[[Structure], Any] = (
            description.describe if name == "text" else partial(xtb.calculate, settings=settings.xtb)
        )
        _processes.own[key] = Killable(work, time_limit_s=settings.time_limit_s)
    _started.add(_processes.own[key])
    return _processes.own[key]


def _end_processes() -> None:
    """End the processes that this one started; those of other workers end with them."""
    while _started:
        _started.pop().close()


class _Progress:
    """Tells every few seconds how far the work is; time is taken to go with the number of sites."""

    def __init__(self, name: Made, sites: list[int], log: Report) -> None:
        self._name, self._sites, self._log = name, sites, log
        self._all_sites = sum(sites)
        self._began = self._told = time.monotonic()
        self._done = self._failed = self._done_sites = 0

    def add(self, answers: Sequence[dict[str, Any]]) -> None:
        for answer in answers:
            self._done_sites += self._sites[self._done]
            self._done += 1
            self._failed += "reason" in answer
        now = time.monotonic()
        if self._done < len(self._sites) and now - self._told < SECONDS_BETWEEN_PARTS:
            return
        self._told, seconds = now, max(now - self._began, 1e-9)
        left_s = seconds * (self._all_sites - self._done_sites) / max(self._done_sites, 1)
        self._log(
            f"{NOUNS[self._name]}: {self._done} of {len(self._sites)}, {self._failed} of them not possible, "
            f"{self._done / seconds:.2f} a second, about {left_s / 60:.0f} min left"
        )
