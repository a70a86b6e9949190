"""A queued experiment of DVC runs in a copy of the project below .dvc/tmp, with DVC_ROOT naming the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = """
import json, os, pipelines, matbind
print(json.dumps([matbind.__file__, os.environ["PYTHONPATH"].split(os.pathsep)[0], os.environ.get("PREFECT_HOME")]))
"""


@pytest.fixture
def copy(tmp_path: Path, project_root: Path) -> Path:
    """The two files of a copy of the project that say where its code is."""
    for name in ("pipelines/__init__.py", "src/matbind/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(project_root / name, tmp_path / name)
    return tmp_path


def _shown(copy: Path, **variables: str) -> list[str | None]:
    away = ("DVC_EXP_NAME", "DVC_ROOT", "PREFECT_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in away} | variables
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=copy, env=environment, check=True, capture_output=True, text=True
    )
    shown: list[str | None] = json.loads(done.stdout)
    return shown


def test_a_stage_and_its_processes_run_the_code_beside_them(copy: Path, project_root: Path) -> None:
    file, search, _ = _shown(copy, PYTHONPATH=str(project_root / "src"))

    assert file == str(copy / "src/matbind/__init__.py")
    assert search == str(copy / "src")


def test_flows_of_a_queued_experiment_are_on_the_projects_page(copy: Path) -> None:
    assert _shown(copy, DVC_EXP_NAME="warm", DVC_ROOT="/project")[2] == "/project/.prefect"


def test_flows_of_the_project_itself_are_where_prefect_toml_says(copy: Path) -> None:
    assert _shown(copy, DVC_ROOT="/project")[2] is None
