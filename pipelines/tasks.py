"""What the stages that train in parallel have in common: one at a time, so many workers, what is worth a retry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError

RETRY_SECONDS = 2


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock: two of a kind in one directory would train into the same files.

    Args:
        lock: file that is locked; it stays.
        what: of what kind, in words.

    Raises:
        UserError: if another one is running.
    """
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another {what} is running in this directory, wait for its end or stop it") from error
        yield


def cores_or(workers: int) -> int:
    """How many processes to run at a time: as asked, or for 0 as many as there are cores for this process."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's condition for a retry: a mistake of the user's stays one."""
    return not isinstance(state.result(raise_on_failure=False), UserError)
