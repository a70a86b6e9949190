from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import locked, read_json, write_json, written_whole


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": [1, 2.5, None]})

    assert read_json(tmp_path / "deep" / "a.json") == {"x": [1, 2.5, None]}


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def write_half() -> None:
        with written_whole(path) as partial:
            partial.write_text("{half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.json: the file does not exist"):
        read_json(tmp_path / "nothing.json")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"pairs": {"dos')

    with pytest.raises(UserError, match=r"cut\.json: found no valid JSON"):
        read_json(path)


def test_a_lock_is_refused_while_another_process_holds_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from matbind.base.files import locked\n"
        "with locked(Path(sys.argv[1]), 'tuning'):\n"
        "    print('in', flush=True); sys.stdin.readline()\n"
    )
    lock = tmp_path / "scratch" / "lock"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(UserError, match="scratch: another tuning is running in this directory"),
            locked(lock, "tuning"),
        ):
            pytest.fail("both are in")
        other.kill()

    with locked(lock, "tuning"):
        assert lock.exists()
