"""What is made once a test run is made by one of its processes, whole, and by the next one where that failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import cache
from tests.cache import RUN, shared

MAKER = """
import sys, time
from pathlib import Path
from tests.cache import shared

def make(directory):
    with Path(sys.argv[1]).open("a") as made:
        made.write("made\\n")
    (directory / "first").touch()
    time.sleep(0.5)
    (directory / "second").touch()

print(sorted(path.name for path in shared("thing", make).iterdir()))
"""


@pytest.fixture
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.setenv(RUN, str(directory))
    return directory


@pytest.mark.usefixtures("run_directory")
def test_of_two_processes_one_makes_it_and_the_other_waits(
    tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{project_root / 'src'}:{project_root}")
    command = [sys.executable, "-c", MAKER, str(tmp_path / "made")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [process.communicate()[0] for process in processes] == ["['first', 'second']\n"] * 2
    assert (tmp_path / "made").read_text() == "made\n"


@pytest.mark.usefixtures("run_directory")
def test_what_failed_is_made_anew() -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        shared("thing", fail)

    assert [path.name for path in shared("thing", lambda directory: (directory / "whole").touch()).iterdir()] == [
        "whole"
    ]


def test_the_workers_of_a_run_share_a_directory_that_the_run_made() -> None:
    assert cache.run_directory().name == "shared"
