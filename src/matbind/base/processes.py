"""Processes that end when the one that started them ends, even if that was killed."""

from __future__ import annotations

import os
import sys
import threading
import time

EXIT_CODE = 143  # as of a process that was asked to terminate
LOOK_SECONDS = 1.0


def end_with_caller() -> None:
    """End this process soon after the one that started it, whichever way that one ends."""
    caller = os.getppid()

    def look() -> None:
        while os.getppid() == caller:
            time.sleep(LOOK_SECONDS)
        os._exit(EXIT_CODE)

    threading.Thread(target=look, name="caller", daemon=True).start()


def end_with_parent() -> None:
    """End this process as soon as its standard input does: a pipe that the parent holds, and loses when it dies."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(EXIT_CODE)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
