"""A Prefect API server that lives exactly as long as the stage that needs it.

Prefect can start a temporary server by itself, but that one survives a killed stage, dies of the Ctrl-C that is for the
stage, and picks its port by chance. Here the stage holds the server's standard input: when it closes, for whatever
reason, the server ends. Where PREFECT_API_URL is set, that server is used and none is started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTUP_SECONDS = 120


@contextmanager
def api_server(*, schedules: bool = False) -> Iterator[None]:
    """Provide the Prefect API to the flows run inside.

    The server goes on until the process ends, for only then has Prefect sent all it has to say. Its database is that of
    the project (`home` in prefect.toml), so that the flows of all stages are seen on one page later.

    Args:
        schedules: whether the server has to make the runs of schedules too.

    Raises:
        RuntimeError: if the server does not answer within two minutes.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield
        return
    command = [sys.executable, "-m", "pipelines.server", *(["--schedules"] if schedules else [])]
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    address = f"http://127.0.0.1:{_port(server)}/api"
    _wait_until_healthy(server, address)
    with temporary_settings({PREFECT_API_URL: address}):
        yield


def _port(server: subprocess.Popen[str]) -> str:
    line = server.stdout.readline().strip() if server.stdout else ""
    if not line:
        raise RuntimeError(f"the Prefect server ended at its start with exit code {server.wait()}")
    return line


def _wait_until_healthy(server: subprocess.Popen[str], address: str) -> None:
    import httpx

    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the Prefect server ended at its start with exit code {server.returncode}")
        try:
            if httpx.get(f"{address}/health", timeout=STARTUP_SECONDS).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the Prefect server did not answer within {STARTUP_SECONDS} seconds")


def serve() -> None:
    """Serve the API on a free port, which is printed, until standard input ends."""
    from matbind.base.processes import end_with_parent

    end_with_parent()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    os.environ["PREFECT_UI_ENABLED"] = "false"

    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral="--schedules" not in sys.argv, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listener])


if __name__ == "__main__":
    serve()
