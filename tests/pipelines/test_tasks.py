from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.tasks import alone, cores_or


def test_two_of_a_kind_do_not_run_in_one_directory(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(project_root))
    lock = tmp_path / "logs" / "tune.lock"
    held = f"with alone(Path({str(lock)!r}), 'tuning'): print('in')"
    code = f"from pathlib import Path\nfrom pipelines.tasks import alone\n{held}"
    command = [sys.executable, "-c", code]

    with alone(lock, "tuning"):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    allowed = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "another tuning is running in this directory" in refused.stderr
    assert allowed.stdout == "in\n"


def test_as_many_as_asked_or_one_a_core() -> None:
    assert cores_or(7) == 7
    assert cores_or(0) >= 1
