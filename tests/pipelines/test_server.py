from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

STAGE = """
import os, sys
from prefect import flow
from pipelines.server import api_server

@flow
def nothing() -> int:
    return 1

with api_server() as wait_until_it_answers:
    wait_until_it_answers()
    nothing()
    print("done", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stage(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[str]:
    """A process that has run a flow and still holds its server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))  # not the database of the checkout
    monkeypatch.setenv("PYTHONPATH", str(project_root))
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE], cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


def test_the_server_does_not_survive_a_killed_stage(stage: subprocess.Popen[str]) -> None:
    servers = psutil.Process(stage.pid).children()
    assert len(servers) == 1

    stage.kill()
    stage.wait()

    assert psutil.wait_procs(servers, timeout=30)[1] == []
