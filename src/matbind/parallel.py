"""One function over many chunks of work, on the processes of this machine or on whatever a caller brings instead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # chunks a worker that are handed out before the first result is taken: the data may be larger than memory


class Workers(Protocol):
    """Something that calls a function on chunks of work, some at a time."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items, which are drawn only a few ahead.

        Args:
            function: a function of a module, so that another process can import it; it and its results are pickled.
            items: what it is called with, one at a time.
        """
        ...


class Here:
    """No other process: every item in turn."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`Workers.map`."""
        return map(function, items)


class Processes:
    """A pool of processes of this machine."""

    def __init__(self, pool: ProcessPoolExecutor, n: int) -> None:
        """Take a pool of `n` processes."""
        self._pool = pool
        self._n = n

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`Workers.map`."""
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(self._pool.submit(function, item))
            if len(pending) > AHEAD * self._n:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def processes(workers: int = 0) -> Iterator[Workers]:
    """A pool of processes, ended with the block.

    Args:
        workers: how many; 0 for one a core, 1 for none but the caller's own.
    """
    n = workers or os.cpu_count() or 1
    if n == 1:
        yield Here()
        return
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        try:
            yield Processes(pool, n)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
