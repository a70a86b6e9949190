from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.training.trainer_process import TrainingError, train_in_process


def _run(script: str, log: Path) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = []
    train_in_process("dos", log=log, on_epoch=epochs.append, program=("tests.training.script", script))
    return epochs


def test_epochs_reach_their_reader_and_the_rest_the_log(tmp_path: Path) -> None:
    script = """
import json, sys
print(json.dumps({"log": f"training {sys.argv[1]}"}))
print(json.dumps({"epoch": {"epoch": 1.0, "loss": 2.5}}))
print("a library speaks")
print("a warning", file=sys.stderr)
"""
    log = tmp_path / "logs" / "dos.log"

    assert _run(script, log) == [{"epoch": 1.0, "loss": 2.5}]
    assert sorted(log.read_text().splitlines()) == ["a library speaks", "a warning", "training dos"]


def test_a_crash_names_its_last_line_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "dos.log"

    with pytest.raises(TrainingError, match=r"^ZeroDivisionError: division by zero; see .*dos\.log$"):
        _run("1 / 0", log)
    assert "Traceback" in log.read_text()


def test_a_killed_process_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="ended by signal 9, as when memory runs out"):
        _run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path / "dos.log")


def test_a_users_mistake_stays_one(tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('matbind: artifacts/features/dos: not there\\n'); sys.exit(2)"

    with pytest.raises(UserError, match=r"^artifacts/features/dos: not there$"):
        _run(script, tmp_path / "dos.log")


def test_the_reason_is_taken_from_this_attempt(tmp_path: Path) -> None:
    log = tmp_path / "dos.log"
    log.write_text("an older attempt\n")

    with pytest.raises(TrainingError, match="its process ended with exit code 3"):
        _run("import sys; sys.exit(3)", log)
    assert log.read_text() == "an older attempt\n"


def test_one_thread_a_process(tmp_path: Path) -> None:
    log = tmp_path / "dos.log"

    _run("import os; print(os.environ['OMP_NUM_THREADS'])", log)

    assert log.read_text() == "1\n"
