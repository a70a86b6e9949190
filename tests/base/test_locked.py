from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import locked

HOLDER = """
import sys
from pathlib import Path
from matbind.base.files import locked
with locked(Path(sys.argv[1]), "tuning"):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_two_of_a_kind_do_not_run_in_one_directory(tmp_path: Path) -> None:
    lock = tmp_path / "logs" / "tune.lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match="another tuning is running in this directory"), locked(lock, "tuning"):
            pass
        other.kill()
    with locked(lock, "tuning"):  # a killed process holds nothing
        pass
