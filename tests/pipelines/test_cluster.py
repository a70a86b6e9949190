from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import polars as pl
import pytest
import yaml
from prefect import flow

from matbind.base.errors import UserError
from matbind.base.files import COMPLETED
from matbind.data import prepare as library
from matbind.data.completion.complete import COLUMNS
from matbind.settings.load import load
from matbind.settings.parallel import ParallelSettings
from pipelines.cluster import workers
from pipelines.prepare import prepare
from tests.factories import DATA, needs_sample, raw_settings, silent

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers of the cluster elsewhere know no tests
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


@flow(persist_result=False, validate_parameters=False)
def mapped(dask, function, items):
    with workers(ParallelSettings(workers=2, dask=dask)) as pool:
        return list(pool.map(function, items))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a Dask cluster that knows the package but not the flows, started in another directory."""
    home = tmp_path_factory.mktemp("dask")
    script = home / "cluster.py"
    script.write_text(SCHEDULER)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=home,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(timeout=60)


def params_file(directory: Path, **parallel) -> Path:
    raw = raw_settings(
        {
            "prepare.data": str(DATA),
            "prepare.limit": 60,
            "prepare.split": {"validation": 0.15, "test": 0.2},
            "prepare.pxrd.n_points": 2126,
        }
    )
    raw["parallel"] = {"workers": 2, "dask": None} | parallel
    path = directory / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@needs_sample
@pytest.mark.usefixtures("prefect_api_url")
def test_prepare_on_a_dask_cluster_writes_what_one_process_does(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "CHUNK", 8)
    monkeypatch.chdir(tmp_path)
    params = params_file(tmp_path, dask="local")
    for table, columns in COLUMNS.items():  # nothing was completed
        COMPLETED.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(schema=columns).write_parquet(COMPLETED / f"{table}.parquet")
    library.prepare(load(params), out=tmp_path / "alone", log=silent)

    prepare(params)

    files = {path.name: path.read_bytes() for path in (tmp_path / "artifacts" / "records").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
    assert len(files) == 5


@pytest.mark.usefixtures("prefect_api_url")
def test_a_cluster_elsewhere_keeps_the_order_and_does_again_what_a_lost_worker_had(scheduler, tmp_path):
    jobs = [(tmp_path / "crashed", x) for x in range(8)]

    assert mapped(scheduler, square_after_a_crash, jobs) == [x * x for x in range(8)]
    assert (tmp_path / "crashed").exists()


@pytest.mark.usefixtures("prefect_api_url")
def test_an_error_in_a_chunk_reaches_the_stage(scheduler):
    with pytest.raises(ValueError, match="-2 is negative"):
        mapped(scheduler, square, [1, -2, 3])


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
    with pytest.raises(UserError, match=expected), workers(ParallelSettings(workers=0, dask=address)):
        pass


def test_without_dask_the_work_is_done_by_processes():
    with workers(ParallelSettings(workers=1, dask=None)) as pool:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]


@pytest.mark.usefixtures("prefect_api_url")
def test_workers_that_do_not_reach_the_prefect_server_are_named(scheduler):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(
            UserError, match=r"its worker tcp://.* does not reach the Prefect server http://127\.0\.0\.1:9/api"
        ),
        workers(ParallelSettings(workers=0, dask=scheduler)),
    ):
        pass
