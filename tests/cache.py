"""What is made once a test run: its processes share a directory, and what lies there is only read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from matbind.base.files import written_whole_directory

RUN = "MATBIND_TEST_RUN"
"""The environment variable that holds the directory; tests/conftest.py sets it before the workers start."""


def run_directory() -> Path:
    """Return the directory that all processes of this test run share."""
    return Path(os.environ[RUN])


def shared(name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of this name, made by the first process that asks for it.

    Others wait until it is whole; where making it failed, the next process that asks tries again.

    Args:
        name: of the directory, unique in the test run.
        make: fills the empty directory it is given, which is renamed later, so no file in it may name its own path.
    """
    directory = run_directory() / name
    with FileLock(f"{directory}.lock"):
        if not directory.exists():
            with written_whole_directory(directory) as partial:
                make(partial)
    return directory
