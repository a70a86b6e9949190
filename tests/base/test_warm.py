from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from matbind.base.warm import Program, Warm

PATIENCE_SECONDS = 30


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory of modules, from which the warm processes import."""
    (tmp_path / "slow.py").write_text("import os\nIMPORTED_BY = os.getpid()\n")
    (tmp_path / "told.py").write_text("import os, slow, sys\nprint(slow.IMPORTED_BY, os.getpid(), *sys.argv[1:])\n")
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(eval(sys.argv[1]))\n")
    (tmp_path / "killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    (tmp_path / "listens.py").write_text("import sys\nprint('ready', flush=True)\nprint(len(sys.stdin.read()))\n")
    return tmp_path


@pytest.fixture
def warm(programs: Path) -> Warm:
    return Warm(
        ["slow"], environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(programs), *sys.path]))}
    )


def start(warm: Warm, errors: Path, *command: str) -> Program:
    with errors.open("a") as stderr:
        return warm.start(*command, stderr=stderr)


def test_programs_find_their_modules_imported(warm: Warm, tmp_path: Path) -> None:
    answers = []
    for argument in ("first", "second"):
        program = start(warm, tmp_path / "errors", "told", argument)
        answers.append(program.stdout.read().split())
        assert program.wait() == 0

    (importer, first, *_), (again, second, *_) = answers
    assert importer == again
    assert len({importer, first, second}) == 3
    assert [answer[2:] for answer in answers] == [["first"], ["second"]]


@pytest.mark.parametrize(("status", "code"), [("None", 0), ("0", 0), ("2", 2), ("'a reason'", 1), ("1 / 0", 1)])
def test_the_exit_code_is_that_of_python(warm: Warm, tmp_path: Path, status: str, code: int) -> None:
    assert start(warm, tmp_path / "errors", "ends", status).wait() == code
    assert ("reason" in (tmp_path / "errors").read_text()) == (status == "'a reason'")
    assert ("ZeroDivisionError" in (tmp_path / "errors").read_text()) == (status == "1 / 0")


def test_a_signal_is_told_as_by_subprocess(warm: Warm, tmp_path: Path) -> None:
    assert start(warm, tmp_path / "errors", "killed").wait() == -9


def test_a_program_that_reads_to_the_end_ends_with_its_caller(programs: Path) -> None:
    caller = textwrap.dedent("""
        import os, sys
        from matbind.base.warm import Warm
        warm = Warm(["slow"], environment=os.environ)
        program = warm.start("listens", stderr=sys.stderr)
        print(program.stdout.readline(), end="", flush=True)
        sys.stdin.read()
    """)
    path = os.pathsep.join(filter(None, [str(programs), *sys.path]))
    with subprocess.Popen(
        [sys.executable, "-c", caller],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()

    assert len(below) == 3  # the one that imports, the one that waits, the program
    assert psutil.wait_procs(below, timeout=PATIENCE_SECONDS)[1] == []


def test_a_program_runs_where_its_caller_is_now(warm: Warm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in ("one", "other"):
        (tmp_path / directory).mkdir()
        monkeypatch.chdir(tmp_path / directory)
        Path("where.py").write_text(f"import os\nprint(os.getcwd(), {directory!r})\n")

        place, module = start(warm, tmp_path / "errors", "where").stdout.read().split()

        assert place.endswith(f"/{directory}")
        assert module == directory


def test_what_imports_is_started_again_after_its_death(warm: Warm, tmp_path: Path) -> None:
    importer = int(start(warm, tmp_path / "errors", "told").stdout.read().split()[0])
    os.kill(importer, 9)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while psutil.pid_exists(importer) and psutil.Process(importer).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert int(start(warm, tmp_path / "errors", "told").stdout.read().split()[0]) != importer
