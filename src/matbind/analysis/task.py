"""Pieces of work that any process can take, their answers, and JSON that any reader can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from matbind.base.files import written_whole

DIGITS = 9  # significant ones in the files: more is rounding, which differs between machines


class UnavailableError(ValueError):
    """The data do not suffice for an answer; one sentence why. Whoever asks many questions goes on with the next."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of a question.

    Attributes:
        key: under which its result is stored.
        call: a partial of a module's function, so that another process can import it.
        cost: roughly, relative to the others; the largest are begun first.
    """

    key: str
    call: Callable[[], Any]
    cost: float = 1.0


class Done(NamedTuple):
    """The result of a task, and how long it took."""

    result: Any
    seconds: float


def perform(call: Callable[[], Any]) -> Done:
    """Do one task in one thread: as many tasks run at a time as there are cores."""
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    start = perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            return Done(answer(call), perf_counter() - start)
    finally:
        torch.set_num_threads(threads)


def answer(question: Callable[[], Any]) -> Any:
    """Return what a question gives, or ``{"unavailable": why}`` where the data cannot answer it."""
    try:
        return question()
    except UnavailableError as error:
        return {"unavailable": str(error)}


def mean_of(results: Sequence[Any]) -> Any:
    """Average the numbers of results of one shape; what is no number, such as a count, is that of the first."""
    first = results[0]
    if isinstance(first, Mapping):
        return {key: mean_of([result[key] for result in results]) for key in first}
    return float(np.mean(results)) if isinstance(first, float) else first


def write_result(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file with sorted keys and finite numbers, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Reduce a value to what JSON knows: arrays to lists, numbers to nine digits, what is not finite to None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value
