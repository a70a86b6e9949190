"""One combination trained in a process of its own, so that a crash of one does not take the others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from matbind.base.errors import USER_ERROR, UserError
from matbind.base.warm import Warm
from matbind.modalities.table import TABLE

REASON_CHARACTERS = 300


class TrainingError(Exception):
    """A combination's process ended without a result; the message is the last line it wrote and where the rest is."""


def train_in_process(
    combination: str,
    *,
    log: Path,
    on_epoch: Callable[[dict[str, float]], None],
    program: tuple[str, ...] = ("matbind.cli", "train"),
) -> None:
    """Train and evaluate one combination by `matbind train --events` and wait for the end.

    Args:
        combination: its name.
        log: all that the process writes is added to this file.
        on_epoch: is given each epoch's figures as they come.
        program: the module that runs as `__main__`, and its arguments without the combination.

    Raises:
        UserError: if the process found a mistake of the user's.
        TrainingError: if it ended in any other way without success.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        start = file.tell()
        process = _warm().start(*program, combination, "--events", stderr=file)
        for line in process.stdout:
            file.write(_readable(line, on_epoch))
            file.flush()
        code = process.wait()
    if code:
        reason = _reason(log, start, code)
        raise UserError(reason) if code == USER_ERROR else TrainingError(f"{reason}; see {log}")


@cache
def _warm() -> Warm:
    """Return what starts the trainers of this process, in sessions of their own: Ctrl-C is for the stage."""
    # One thread a process: two on a shared machine wait for each other, and one gives the same bits each time.
    # oneDNN keeps a compiled kernel for each of its last 1,024 shapes; graphs differ in size at every step, so that is
    # memory and no gain.
    single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}
    encoders = [f"{package}.encoder" for package in TABLE.values()]
    environment = {**single, **os.environ, "PYTHONUNBUFFERED": "1"}
    return Warm(["matbind.training.combination", *encoders], environment=environment)


def _readable(line: str, on_epoch: Callable[[dict[str, float]], None]) -> str:
    """Return a line for the log; an epoch's figures go to their reader on the way."""
    try:
        event = json.loads(line)
    except ValueError:
        return line  # printed by a library
    if isinstance(event, dict) and "epoch" in event:
        on_epoch(event["epoch"])
        return ""
    return f"{event['log']}\n" if isinstance(event, dict) and "log" in event else line


def _reason(log: Path, start: int, code: int) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        lines = [line.strip() for line in file if line.strip()]
    if code < 0:
        return f"its process was ended by signal {-code}" + (", as when memory runs out" if code == -9 else "")  # noqa: PLR2004
    last = lines[-1].removeprefix("matbind: ") if lines else f"its process ended with exit code {code}"
    return last[:REASON_CHARACTERS]
