"""A PostgreSQL server and MLflow servers of the tests' own, as a team would run them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

PATIENCE_SECONDS = 180


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server with a database for each tool."""

    port: int

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://matbind:secret@127.0.0.1:{self.port}/{database}"

    def count(self, database: str, query: str) -> int:
        import psycopg

        with psycopg.connect(self.url(database, "postgresql")) as connection:
            return int(connection.execute(query).fetchone()[0])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _binaries() -> Path | None:
    """Return where PostgreSQL keeps initdb: Debian leaves it off the path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: -float(place.parent.name))
    on_path = shutil.which("initdb")
    places += [Path(on_path).resolve().parent] if on_path else []
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start a server in a directory of its own, run by the user postgres where the tests are run by root."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: the tests of a team's shared database are left out")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'matbind[team]')")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    port, place = free_port(), Path(tempfile.mkdtemp(prefix="matbind-postgres-"))
    if as_user:
        account = pwd.getpwnam("postgres")
        os.chown(place, account.pw_uid, account.pw_gid)

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / program), *arguments]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    password = place / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    cluster = str(place / "cluster")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {place}"
    try:
        run("initdb", "-D", cluster, "-U", "matbind", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
        run(
            "pg_ctl", "-D", cluster, "-l", str(place / "log"), "-w", "-t", str(PATIENCE_SECONDS), "-o", options, "start"
        )
        try:
            server = Postgres(port)
            _create_databases(server, "mlflow", "optuna", "prefect")
            yield server
        finally:
            run("pg_ctl", "-D", cluster, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _create_databases(server: Postgres, *names: str) -> None:
    import psycopg

    with psycopg.connect(server.url("postgres", "postgresql"), autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")


@contextmanager
def _serving(store: str, artifacts: Path) -> Iterator[str]:
    """`mlflow server` with its artifacts behind it, as docs/team.md starts it."""
    address = f"127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(artifacts), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    log = artifacts.with_suffix(".log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes of which tracking needs none
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"http://{address}/health").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield f"http://{address}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a tracking server on a store and returns its address."""
    with ExitStack() as stack:
        yield lambda store: stack.enter_context(_serving(store, tmp_path / "artifacts"))
