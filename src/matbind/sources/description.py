"""Text of a crystal by Robocrystallographer: word for word the stock result, offline, several times faster.

What the stock wording leaves to Python's hash seed (whether octahedra are corner and edge-sharing or edge and
corner-sharing, and the order of the orientations of a component) is in alphabetical order here, so a structure has one
text. Molecules are not named. Needs the optional extra `text`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from typing import Any

from matbind.errors import UserError
from matbind.structure import Structure

SECONDS_BETWEEN_REPORTS = 10.0
STRUCTURES_IN_FLIGHT_PER_WORKER = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a structure has no text."""

    reason: str


def describe(structure: Structure) -> str:
    """Describe an ordered crystal in words; oxidation states are guessed where possible.

    Args:
        structure: any cell; the text is of the conventional one.

    Returns:
        The text of `StructureDescriber().describe(StructureCondenser().condense_structure(...))` of robocrys.

    Raises:
        ValueError: if a site is partly occupied or holds several species.
        UserError: if robocrys is not installed.
        Exception: what robocrys, pymatgen or spglib raise for a cell they cannot handle.

    Source: Ganose and Jain, MRS Communications 9, 874 (2019).
    """
    if len(structure.atomic_number) != structure.n_sites or (structure.occupancy < 1).any():
        raise ValueError("The structure is disordered, expected one fully occupying species on each site.")
    text: str = _engine().describe(structure.to_pymatgen())
    return text


def describe_many(
    structures: Sequence[Structure],
    *,
    workers: int,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[str | Failure]:
    """Describe crystals in parallel; the texts do not depend on the number of workers.

    Args:
        structures: as for :func:`describe`.
        workers: processes; 1 works in this one. With more, not even a crash of the interpreter ends the run.
        report: is told the progress in sentences.

    Yields:
        For each structure, in their order, its text or why there is none.

    Raises:
        ValueError: if `workers` is below 1.
        UserError: if robocrys is not installed.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1.")
    _engine_module()
    answers = map(_answer, structures) if workers == 1 else _in_processes(structures, workers)
    return _reported(answers, len(structures), report)


def _answer(structure: Structure) -> str | Failure:
    try:
        return describe(structure)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise, it concerns one structure
        return Failure(f"{type(error).__name__}: {error}")


def _reported(answers: Iterator[str | Failure], total: int, report: Callable[[str], None]) -> Iterator[str | Failure]:
    began = told = time.monotonic()
    failures = 0
    for done, answer in enumerate(answers, start=1):
        failures += isinstance(answer, Failure)
        now = time.monotonic()
        if done == total or now - told >= SECONDS_BETWEEN_REPORTS:
            told = now
            rate = done / max(now - began, 1e-9)
            report(f"{done} of {total} structures described, {failures} without a text, {rate:.2f} a second")
        yield answer


def _in_processes(structures: Sequence[Structure], workers: int) -> Iterator[str | Failure]:
    """Keep a few structures a worker in flight; when a process dies, find out alone which structure kills it."""
    waiting = iter(structures)
    flying: deque[tuple[Structure, Future[str | Failure]]] = deque()
    pool = _pool(workers)
    try:
        while True:
            for structure in islice(waiting, workers * STRUCTURES_IN_FLIGHT_PER_WORKER - len(flying)):
                flying.append((structure, _submitted(pool, structure)))
            if not flying:
                return
            structure, future = flying.popleft()
            try:
                answer = future.result()
            except BrokenProcessPool:
                pool.shutdown()
                answer = _alone(structure)
                pool = _pool(workers)
                flying = deque((other, _submitted(pool, other)) for other, _ in flying)
            yield answer
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, structure: Structure) -> Future[str | Failure]:
    """Hand a structure to the pool; a pool that broke meanwhile is found out when the answer is asked for."""
    try:
        return pool.submit(_answer, structure)
    except BrokenProcessPool as error:
        broken: Future[str | Failure] = Future()
        broken.set_exception(error)
        return broken


def _alone(structure: Structure) -> str | Failure:
    with _pool(1) as pool, suppress(BrokenProcessPool):
        return pool.submit(_answer, structure).result()
    return Failure("The process that described it died.")


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


@cache
def _engine() -> Any:
    return _engine_module().Engine()


def _engine_module() -> Any:
    try:
        import robocrys  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            "Texts need robocrys, which is not installed: expected the extra `text` (pip install 'matbind[text]')."
        ) from error
    from matbind.sources import description_engine

    return description_engine
