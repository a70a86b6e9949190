"""What several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from tests.cache import RUN, run_directory

os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a thread a core in each of several processes would wait for the others

ROOT = Path(__file__).parents[1]
LIFELINE = "prefect.lifeline"
STARTUP_SECONDS = 120


@pytest.hookimpl(trylast=True)  # after the plugin that makes temporary directories
def pytest_configure(config: pytest.Config) -> None:
    """Make the directory that the processes of this run share, unless this is one of its workers.

    The Prefect server, which any of them may start, reads from a pipe that this process holds open as long as it lives.
    """
    if RUN in os.environ:
        return
    directory = config._tmp_path_factory.mktemp("shared", numbered=False)
    os.environ[RUN] = str(directory)
    os.mkfifo(directory / LIFELINE)
    os.open(directory / LIFELINE, os.O_RDWR)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("end_to_end") is None)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout the tests run from."""
    return ROOT


@pytest.fixture(scope="session")
def prefect_api_url() -> Iterator[str]:
    """The address of the one Prefect server of the test run, started by the first process that needs it."""
    from prefect.context import _temporary_global_settings_context, get_settings_context
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address_file = run_directory() / "prefect.address"
    with FileLock(run_directory() / "prefect.lock"):
        if not address_file.exists():
            address_file.write_text(_start_prefect_server())
    address = address_file.read_text()
    with temporary_settings({PREFECT_API_URL: address}), _temporary_global_settings_context(get_settings_context()):
        yield address


def _start_prefect_server() -> str:
    """Start a server that ends with the test run, whichever way that ends, and return its address once it answers."""
    with (run_directory() / LIFELINE).open("rb") as lifeline, (run_directory() / "prefect.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "pipelines.server"],
            cwd=ROOT,
            env={**os.environ, "PREFECT_HOME": str(run_directory() / "prefect")},
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    with server.stdout as port:
        address = f"http://127.0.0.1:{port.readline().strip()}/api"
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        assert server.poll() is None, (run_directory() / "prefect.log").read_text()
        assert time.monotonic() < deadline, "the Prefect server does not answer"
        try:
            if httpx.get(f"{address}/health", timeout=STARTUP_SECONDS).is_success:
                return address
        except httpx.TransportError:
            time.sleep(0.1)


@pytest.fixture(scope="session")
def empty_store() -> Path:
    """The database of an MLflow store without a run, to be copied."""
    from tests.tracking.stores import empty_store

    return empty_store()
