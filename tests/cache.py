"""What is made once a test run: its processes share a directory, and what lies there is only read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from matbind.base.files import written_whole_directory
from matbind.modalities.code import PACKAGE

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


def lend_kernels(package: Path, cache: Path) -> None:
    """Let a copy of the package use what Numba compiled for the checkout, which it knows by the content of its source.

    Args:
        package: the copy's directory.
        cache: the directory that will be NUMBA_CACHE_DIR; Numba has a directory in it for each directory of source.
    """
    cache.mkdir(parents=True)
    for compiled in {path.parent for path in PACKAGE.glob("**/__pycache__/*.nbi")}:
        folder = package / compiled.parent.relative_to(PACKAGE)
        (cache / f"{folder.name}_{hashlib.sha1(str(folder).encode()).hexdigest()}").symlink_to(compiled)  # noqa: S324
