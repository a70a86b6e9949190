"""Copies of the project in which the real pipeline runs; what it leaves there is looked at by many tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Project:
    """A copy of the project and the environment for the commands that run in it."""

    root: Path
    environment: dict[str, str]

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)

    def run(self, *command: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.call(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, path: str) -> Any:
        """Read a JSON file below the root."""
        return json.loads((self.root / path).read_text())

    def commit_and_pull(self) -> None:
        """Make the copy a repository whose data are there, as after a clone."""
        for command in (("git", "init", "--quiet"), ("git", "add", "."), ("git", "commit", "--quiet", "-m", "copy")):
            self.run(*command)
        self.run("dvc", "pull", "data.dvc")


def copy_project(source: Path, root: Path, prefect_api_url: str) -> Project:
    """Copy what git tracks or would track, and compiled kernels.

    DVC's record of an earlier run is among it, while its cache is not, as in a clone of git alone. Numba knows its
    source by content, so what it compiled for the checkout is what it would compile for the copy.
    """
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout.split("\0")
    compiled = [str(path.relative_to(source)) for path in source.glob("src/**/__pycache__/*.nb[ci]")]
    for name in filter(None, [*listed, *compiled]):
        if (source / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, root / name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PREFECT", "DVC"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(root / "src"),
        "PREFECT_API_URL": prefect_api_url,
        **{f"GIT_{who}_{what}": "n@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    return Project(root, environment)
