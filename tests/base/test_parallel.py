from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import get_ident

import psutil
import pytest

from matbind.base.parallel import AHEAD, processes, threads

CALLER = """
import os, sys
from matbind.base.parallel import processes

def pid(_):
    return os.getpid()

if __name__ == "__main__":
    with processes(2) as pool:
        print(*set(pool.map(pid, range(8))), flush=True)
        sys.stdin.read()
"""


def _square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


def _pid(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    with processes(workers) as pool:
        assert list(pool.map(_square, range(20))) == [x * x for x in range(20)]


def test_threads_keep_the_order_and_draw_the_items_in_the_callers_thread() -> None:
    def items() -> Iterator[int]:
        for x in range(20):
            assert get_ident() == caller
            yield x

    caller = get_ident()
    with threads(2) as pool:
        results = list(pool.map(lambda x: (x, get_ident()), items()))
    assert [x for x, _ in results] == list(range(20))
    assert caller not in {thread for _, thread in results}


def test_a_single_item_is_not_worth_a_process() -> None:
    with processes(2) as pool:
        assert list(pool.map(_pid, range(1))) == [os.getpid()]
        assert os.getpid() not in set(pool.map(_pid, range(2)))


def test_the_processes_of_a_killed_caller_end(tmp_path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "caller.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        pids = [int(pid) for pid in caller.stdout.readline().split()]
        assert pids
        assert all(psutil.pid_exists(pid) for pid in pids)
        caller.kill()
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_items_are_drawn_only_a_few_ahead() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for x in range(100):
            drawn.append(x)
            yield x

    with processes(2) as pool:
        results = pool.map(_square, items())
        next(results)
        assert len(drawn) == 2 * AHEAD + 1
        list(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with processes(workers) as pool, pytest.raises(ValueError, match="-1 is negative"):
        list(pool.map(_square, [1, -1, 2]))
