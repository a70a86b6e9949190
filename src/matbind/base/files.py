"""Where a run keeps its files, and how they are written so that none is ever half there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError

CHECKED = Path("artifacts/checked.txt")
COMPLETED = Path("artifacts/completed")
SCRATCH = Path("artifacts/scratch")  # what a stopped stage goes on from; no output of any
RECORDS = Path("artifacts/records")
EXPECTATIONS = Path("expectations")
VALID = Path("artifacts/valid")
FEATURES = Path("artifacts/features")
LOGS = Path("artifacts/logs")
MODELS = Path("models")
METRICS = Path("metrics/combinations")
LEARNING_CURVES = Path("metrics/learning_curves.csv")
COMPARISON = Path("metrics/comparison.json")
MEAN_RECALL = Path("metrics/recall.json")  # this one and the next are committed: `dvc metrics diff` needs no cache
SUMMARY = Path("metrics/summary.json")
REGISTERED = Path("metrics/registry.json")
ANALYSIS = Path("artifacts/analysis")
TUNING_METRICS = Path("metrics/tuning.json")
REPORTS = Path("reports")
VALIDATION_REPORT = REPORTS / "validation"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write beside, then rename: a file that is there is whole, whatever interrupts the writing.

    Yields:
        The path to write to; it takes the name ``path`` when the block ends, and is removed if the block fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_whole_directory(path: Path) -> Iterator[Path]:
    """Write a directory beside, then rename; what stood there before is replaced at the end.

    Yields:
        A new, empty directory; it takes the name ``path`` when the block ends. If the block fails, ``path`` stays as it
        was.
    """
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Let one process at a time into the block; another one is refused at once, it does not wait.

    Args:
        path: of the file that is locked; it stays.
        what: is done in the block, such as "tuning".

    Raises:
        UserError: if another process is in it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, blocking=False):
            yield
    except Timeout as error:
        raise UserError(
            f"{path.parent}: another {what} is running in this directory, wait for its end or stop it"
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: the file does not exist, expected the output of an earlier stage") from error
    except ValueError as error:
        raise UserError(f"{path}: found no valid JSON ({error}), expected the output of an earlier stage") from error
