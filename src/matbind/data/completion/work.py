"""One structure after another: its text or density of states, kept as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.isolated import Failure, Isolated
from matbind.base.ledger import Ledger, digest
from matbind.base.parallel import Workers
from matbind.data.completion import description, xtb
from matbind.data.sources.raw import EXCLUDED
from matbind.materials.structure import Structure, structure_of
from matbind.modalities.records import columns_of
from matbind.modalities.table import part
from matbind.settings.complete import CompleteSettings

CHUNK = 4  # structures handed to a worker at a time: what a killed run computes again
SECONDS_BETWEEN_PARTS = 10.0

COLUMNS: dict[str, dict[str, Any]] = {
    "text": columns_of("text") | {"source": pl.String},
    "dos": columns_of("dos") | {"n_atoms": pl.Int64, "supercell": pl.List(pl.Int8), "source": pl.String},
}
"""Columns of the tables that are made. `source` is the method and its version; null for what the source brought."""

_running: dict[tuple[int, str, CompleteSettings], Isolated[Structure, Any]] = {}


def make(
    name: str,
    lacking: pl.DataFrame,
    settings: CompleteSettings,
    scratch: Path,
    workers: Workers,
    *,
    retry_failed: bool,
    log: Callable[[str], None],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make one table, or what is not yet known of it.

    Args:
        name: of the modality, one of `COLUMNS`.
        lacking: structures without it.
        settings: how it is made.
        scratch: of the ledger that keeps the answers.
        workers: processes or threads that calculate.
        retry_failed: whether to try again what failed in an earlier run.
        log: is told the progress in sentences; time is taken to go with the number of sites.

    Returns:
        The table of what could be made and, with the reason, the materials without, in the order of the structures.

    Raises:
        UserError: if a library is missing, or an earlier run's answers are unreadable.
    """
    source = description.provenance() if name == "text" else xtb.provenance()
    method = (source,) if name == "text" else (source, settings.xtb.model_dump_json())
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
        items.append((row["material_id"], _digest(structure, *method)))
    ledger = Ledger(scratch, {key: kind for key, kind in COLUMNS[name].items() if key not in {"material_id", "source"}})
    todo = sorted(ledger.open_items(items, retry_failed=retry_failed), key=lambda i: structures[i].n_sites)
    known = f", {len(items) - len(todo)} known from before" if len(todo) < len(items) else ""
    noun = part(name, "records").NOUN
    log(f"{noun}: {len(todo)} to make, the smallest cells first{known}")
    chunks = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
    jobs = ([structures[i] for i in chunk] for chunk in chunks)
    n_sites = sum(structures[i].n_sites for i in todo)
    n_done = n_failed = sites_done = 0
    rows: list[dict[str, Any]] = []
    began_s = kept_s = time.monotonic()
    try:
        for chunk, answers in zip(chunks, workers.map(partial(answer, name, settings), jobs), strict=True):
            for i, columns in zip(chunk, answers, strict=True):
                rows.append({"material_id": items[i][0], "digest": items[i][1]} | columns)
                n_failed += "reason" in columns
            n_done += len(chunk)
            sites_done += sum(structures[i].n_sites for i in chunk)
            now_s = time.monotonic()
            if n_done < len(todo) and now_s - kept_s < SECONDS_BETWEEN_PARTS:
                continue
            ledger.add(rows)
            rows, kept_s = [], now_s
            seconds = max(now_s - began_s, 1e-9)
            log(
                f"{noun}: {n_done} of {len(todo)}, {n_failed} of them not possible, {n_done / seconds:.2f} a second, "
                f"about {seconds * (n_sites - sites_done) / max(sites_done, 1) / 60:.0f} min left"
            )
    finally:
        ledger.add(rows)
        while _running:  # those of other workers end with them
            _running.popitem()[1].close()
    failed += [(material_id, name, reason) for material_id, reason in ledger.failures(items).iter_rows()]
    table = ledger.results(items).with_columns(source=pl.lit(source)).select(*COLUMNS[name])
    without = pl.DataFrame(failed, schema=EXCLUDED, orient="row")
    return table, lacking.select("material_id").join(without, on="material_id", maintain_order="left")


def answer(name: str, settings: CompleteSettings, structures: list[Structure]) -> list[dict[str, Any]]:
    """Return the result columns of each structure, or the reason why there are none.

    A thread has one process of its own for each kind of work, which serves all that it is given.
    """
    key = (threading.get_ident(), name, settings)
    if key not in _running:
        work: Callable[[Structure], Any] = (
            description.describe if name == "text" else partial(xtb.calculate, settings=settings.xtb)
        )
        _running[key] = Isolated(work, time_limit_s=settings.time_limit_s)
    return [_columns(_running[key](structure)) for structure in structures]


def _digest(structure: Structure, *method: str) -> str:
    return digest(
        structure.lattice,
        structure.frac_coords,
        structure.site_index,
        structure.atomic_number,
        structure.occupancy,
        *method,
    )


def _columns(result: str | xtb.XtbDos | Failure) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {"reason": result.reason}
    if isinstance(result, str):
        return {"text": result}
    return {
        "energies": result.dos.energies_ev,
        "densities": result.dos.densities,
        "efermi": result.dos.efermi_ev,
        "n_atoms": result.n_atoms,
        "supercell": list(result.supercell),
    }
