"""The pages about the tools: every command in them runs, in the order of the page, in a finished project."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.copies import Project
from tests.end_to_end.smoke import smoke_run

PAGES = ("dvc", "expectations", "mlflow", "optuna", "prefect")
SERVES = re.compile(r"#\s*(http://127\.0\.0\.1:(\d+)\S*)\s*$")
PATIENCE_SECONDS = 180


@pytest.fixture
def project(
    project_root: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Project:
    """A copy of the finished smoke run, all of it committed, with this environment as its `.venv`."""
    finished = smoke_run(project_root, tmp_path_factory, prefect_api_url).project
    root = tmp_path / "project"
    shutil.copytree(finished.root, root, symlinks=True)
    project = Project(root, {**finished.environment, "PYTHONPATH": str(root / "src")})
    project.run("git", "add", ".")
    project.call("git", "commit", "--quiet", "-m", "results")  # fails if the run has changed no file
    (root / ".venv").mkdir()
    (root / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (root / ".venv" / ".installed").touch()
    return project


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(project_root: Path, project: Project, page: str) -> None:
    commands = commands_of((project_root / "docs" / f"{page}.md").read_text())

    assert commands
    for command in commands:
        if address := SERVES.search(command):
            _serve(project, command, address)
        else:
            project.run("timeout", str(PATIENCE_SECONDS), "bash", "-c", command)


def test_every_search_of_the_readme_ranks_materials(project_root: Path, project: Project) -> None:
    searches = [line for line in commands_of((project_root / "README.md").read_text()) if "matbind search" in line]

    assert searches
    for command in searches:
        # Among the 150 materials of the smoke run only one has iron and sulphur, La3MnFeS7.
        printed = project.run("bash", "-c", command.replace("--only Fe,S", "--only Fe,S,La,Mn"))
        header, *rows = (line.split() for line in printed.splitlines() if line.split()[0].isdigit() or "rank" in line)
        assert header == ["rank", "material", "formula", "similarity", "split"]
        assert [row[0] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
        assert rows, printed


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_pictures_that_are_there(project_root: Path, page: str) -> None:
    docs = project_root / "docs"
    pictures = re.findall(r"!\[[^\]]+\]\((\S+?)\)", (docs / f"{page}.md").read_text())

    assert pictures
    assert [picture for picture in pictures if not (docs / picture).is_file()] == []


def commands_of(text: str) -> list[str]:
    """Return the lines of the fences marked `sh`; a backslash continues a line."""
    fences = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(fences).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _serve(project: Project, command: str, address: re.Match[str]) -> None:
    """Run a command that serves, on a free port instead of its own, until its page answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    assert command.count(address[2]) > 1, f"the port is not in the command: {command}"
    log = project.root / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["bash", "-c", command.replace(address[2], port)],
            cwd=project.root,
            env=project.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(address[1].replace(address[2], port)):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
    log.unlink()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=10, follow_redirects=True).is_success
    except httpx.TransportError:
        return False
