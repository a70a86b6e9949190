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
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STARTUP_SECONDS = 120


@contextmanager
def api_server(*, schedules: bool = False) -> Iterator[Callable[[], None]]:
    """Provide the Prefect API to the flows run inside.

    The server goes on until the process ends, for only then has Prefect sent all it has to say. Its database is that of
    the project (`home` in prefect.toml), so that the flows of all stages are seen on one page later.

    Args:
        schedules: whether the server has to make the runs of schedules too.

    Yields:
        What waits until the server answers. Starting takes seconds, in which the block can do other things first; it
        raises a RuntimeError if there is no answer within two minutes.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield lambda: None
        return
    command = [sys.executable, "-m", "pipelines.server", *(["--schedules"] if schedules else [])]
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    address = f"http://127.0.0.1:{_port(server)}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        yield lambda: _wait_until_healthy(server, address)


def _port(server: subprocess.Popen[str]) -> str:
    line = server.stdout.readline().strip() if server.stdout else ""
    if not line:
        raise RuntimeError(f"the Prefect server ended at its start with exit code {server.wait()}")
    return line


def _wait_until_healthy(server: subprocess.Popen[str], address: str) -> None:
    """Ask once: the port is open from the start, so the question waits there for the server to answer it."""
    try:
        urllib.request.urlopen(f"{address}/health", timeout=STARTUP_SECONDS).close()  # noqa: S310  # it is our own
    except OSError as error:
        code = server.poll()
        how = "did not answer" if code is None else f"ended at its start with exit code {code}"
        raise RuntimeError(f"the Prefect server {how}: {error}") from error


def serve() -> None:
    """Serve the API on a free port, which is printed, until standard input ends."""
    from matbind.base.processes import end_with_parent

    end_with_parent()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who asks from now on is answered when the server has started
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    # The page, and the kinds of blocks that one can make on it, are those of `make prefect`.
    os.environ |= {"PREFECT_UI_ENABLED": "false", "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}

    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral="--schedules" not in sys.argv, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listener])


if __name__ == "__main__":
    serve()
