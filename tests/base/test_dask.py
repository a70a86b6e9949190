from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matbind.base.dask import dask_workers
from matbind.base.errors import StageError, UserError

SCHEDULER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


def square_after_a_crash(job: tuple[Path, int]) -> int:
    marker, x = job
    if x == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(x)


def square_at_the_second_try(job: tuple[Path, int]) -> int:
    marker, x = job
    if x == 3 and not marker.exists():
        marker.touch()
        raise OSError("the file system hiccuped")
    return square(x)


def kill_the_worker(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def mapped(cluster, function, items):
    with dask_workers(cluster, workers=2, log=lambda _: None) as pool:
        return list(pool.map(function, items))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a Dask cluster of two workers, started in another directory."""
    directory = tmp_path_factory.mktemp("dask")
    script = directory / "cluster.py"
    script.write_text(SCHEDULER)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(timeout=60)


def test_a_local_cluster_keeps_the_order_and_has_a_page():
    lines: list[str] = []
    with dask_workers("local", workers=2, log=lines.append) as pool:
        assert list(pool.map(square, range(20))) == [x * x for x in range(20)]
    assert re.fullmatch(r"Dask's page: http://127\.0\.0\.1:\d+/status", lines[0])


def test_a_cluster_elsewhere_keeps_the_order_and_does_again_what_a_lost_worker_had(scheduler, tmp_path):
    jobs = [(tmp_path / "crashed", x) for x in range(8)]

    assert mapped(scheduler, square_after_a_crash, jobs) == [x * x for x in range(8)]
    assert (tmp_path / "crashed").exists()


def test_a_chunk_that_fails_once_is_tried_again(scheduler, tmp_path):
    jobs = [(tmp_path / "failed", x) for x in range(5)]

    assert mapped(scheduler, square_at_the_second_try, jobs) == [x * x for x in range(5)]
    assert (tmp_path / "failed").exists()


def test_an_error_in_a_chunk_reaches_the_stage(scheduler):
    with pytest.raises(ValueError, match="-2 is negative"):
        mapped(scheduler, square, [1, -2, 3])


def test_a_chunk_that_costs_worker_after_worker_is_one_sentence(scheduler):
    with pytest.raises(StageError, match=r"^the Dask cluster lost a part of the work: "):
        mapped(scheduler, kill_the_worker, [1])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:1", r"\[Errno 111\] Connection refused"),
        ("host", "missing port number in address 'host'"),
        ("http://127.0.0.1:1", "unknown address scheme 'http' .*"),
    ],
)
def test_an_address_where_no_scheduler_is_is_one_sentence(address, reason):
    expected = (
        rf"^parallel\.dask is '{address}': no Dask scheduler answers there \({reason}\), "
        r"expected null, local, or the address of a scheduler such as tcp://host:8786$"
    )
    with pytest.raises(UserError, match=expected):
        mapped(address, square, [])


def test_workers_without_the_package_are_named(scheduler, monkeypatch):
    monkeypatch.setattr("matbind.base.dask.PACKAGE", "matbind_of_another_age")

    with pytest.raises(UserError, match=r"its worker tcp://.* has no matbind_of_another_age, expected the same"):
        mapped(scheduler, square, [])
