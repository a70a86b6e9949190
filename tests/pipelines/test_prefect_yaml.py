"""What prefect.yaml, prefect.toml and the Makefile promise to users of Prefect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.team.conftest import free_port

PATIENCE_SECONDS = 180


def _prefect(*arguments: str, cwd: Path, api_url: str) -> None:
    environment = {**os.environ, "PREFECT_API_URL": api_url, "PYTHONPATH": str(cwd)}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_team_deploys_the_experiment_to_its_work_pool(prefect_api_url: str, project_root: Path) -> None:
    _prefect(
        "work-pool", "create", "matbind", "--type", "process", "--overwrite", cwd=project_root, api_url=prefect_api_url
    )
    _prefect("deploy", "--all", cwd=project_root, api_url=prefect_api_url)

    deployment = httpx.get(f"{prefect_api_url}/deployments/name/experiment/team").json()
    assert deployment["work_pool_name"] == "matbind"
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]
    [step] = deployment["pull_steps"]
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(project_root)


def test_the_page_asks_the_port_it_is_opened_on(project_root: Path, tmp_path: Path) -> None:
    port = free_port()
    asked = ["make", "--dry-run", "--silent", "--old-file", ".venv/.installed", "prefect", f"PREFECT_PORT={port}"]
    command = subprocess.run(asked, cwd=project_root, check=True, capture_output=True, text=True).stdout
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
    search = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            ["sh", "-c", command],
            cwd=project_root,
            env={**variables, "PATH": search, "PREFECT_HOME": str(tmp_path)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            try:
                settings = httpx.get(f"http://127.0.0.1:{port}/ui-settings").json()
                break
            except httpx.TransportError:
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    assert settings["api_url"] == f"http://127.0.0.1:{port}/api"
