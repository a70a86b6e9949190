"""One function over many chunks of work: here, on threads or processes of this machine, or on what a caller brings."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import get_context
from typing import Protocol, TypeVar

from matbind.base.processes import end_with_caller

Item = TypeVar("Item")
Result = TypeVar("Result")
Pending = TypeVar("Pending")
AHEAD = 2  # chunks a worker that are handed out before the first result is taken: the data may be larger than memory


class Workers(Protocol):
    """Something that calls a function on chunks of work, some at a time."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results in the order of the items, which are drawn only a few ahead.

        Args:
            function: a function of a module, so that another process can import it; it and its results are pickled.
            items: what it is called with, one at a time.
        """
        ...


class SerialPool:
    """No other process: every item in turn."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`Workers.map`."""
        return map(function, items)


class Pool:
    """Threads or processes of this machine."""

    def __init__(self, executor: Executor, n: int) -> None:
        """Take a pool of `n` threads or processes."""
        self._executor = executor
        self._n = n

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`Workers.map`."""
        drawn = iter(items)
        head = list(islice(drawn, 2))
        if len(head) < 2:  # noqa: PLR2004  starting a process takes longer than one item does
            return map(function, head)
        submitted = (self._executor.submit(function, item) for item in chain(head, drawn))
        return in_order(submitted, Future.result, ahead=AHEAD * self._n)


def called(call: Callable[[], Result]) -> Result:
    """Return what a call returns: a function of this module, which any process with the package can import."""
    return call()


def in_order(submitted: Iterable[Pending], result: Callable[[Pending], Result], *, ahead: int) -> Iterator[Result]:
    """Wait for what is under way, in the order of its submission, with `ahead` more of it under way meanwhile.

    Args:
        submitted: hands out a chunk of work whenever the next of it is taken.
        result: waits for one.
        ahead: chunks handed out before the first result is taken.
    """
    pending: deque[Pending] = deque()
    for work in submitted:
        pending.append(work)
        if len(pending) > ahead:
            yield result(pending.popleft())
    while pending:
        yield result(pending.popleft())


@contextmanager
def threads(n: int = 0) -> Iterator[Workers]:
    """Make a pool of threads, ended with the block: for functions that spend their time outside the interpreter lock.

    The items are drawn in the caller's thread, so reading them goes on beside the work.

    Args:
        n: how many; 0 for one a core.
    """
    n = n or os.cpu_count() or 1
    with _ended(ThreadPoolExecutor(n)) as pool:
        yield Pool(pool, n)


@contextmanager
def processes(workers: int = 0) -> Iterator[Workers]:
    """Make a pool of processes, ended with the block.

    Args:
        workers: how many; 0 for one a core, 1 for none but the caller's own.
    """
    n = workers or os.cpu_count() or 1
    if n == 1:
        yield SerialPool()
        return
    # Without the initializer the processes would wait for work forever where the caller is killed.
    with _ended(ProcessPoolExecutor(n, mp_context=get_context("spawn"), initializer=end_with_caller)) as pool:
        yield Pool(pool, n)


@contextmanager
def _ended(executor: Executor) -> Iterator[Executor]:
    """End an executor with the block, at once if the block fails."""
    with executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
