"""Work that may hang or crash, item by item in a process of its own that is ended when it takes too long.

A text or a density of states of one odd structure can take hours or end the interpreter with a segmentation fault.
Here that costs this one structure. The process is started by its command line, not by `multiprocessing`, so it may be
had inside the workers of any pool, those of Dask too, which must not have children of the other kind. It runs with one
thread and a fixed hash seed: what it answers does not depend on where or after what an item is worked on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from matbind.base.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read once, when a library is loaded
READY = "ready"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item has no result."""

    reason: str


class Isolated(Generic[Item, Result]):
    """Calls a function on one item after another in another process, which begins with the first item."""

    def __init__(self, function: Callable[[Item], Result], *, time_limit_s: float) -> None:
        """Take a function.

        Args:
            function: of a module, so that the other process can import it; its item and its result are pickled.
            time_limit_s: longest time for one item, in seconds of the clock on the wall.
        """
        self._function = function
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def __call__(self, item: Item) -> Result | Failure:
        """Call the function.

        Returns:
            Its result; or why there is none: what it raised, that it took too long, or that its process died.

        Raises:
            UserError: what the function raised for a mistake of the user's, such as a library that is not installed.
            RuntimeError: if the process does not even start.
        """
        connection = self._connection or self._start()
        try:
            connection.send(item)
            if not connection.poll(self._time_limit_s):
                self.close()
                return Failure(f"It took longer than {self._time_limit_s:g} s.")
            answer = connection.recv()
        except (EOFError, OSError):
            return Failure(f"The process that worked on it died ({self._cause_of_death()}).")
        if isinstance(answer, UserError):
            raise answer
        result: Result | Failure = answer
        return result

    def close(self) -> None:
        """End the process, whatever it does; the next item would begin another one."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None

    def _start(self) -> Connection[Any, Any]:
        connection, remote = Pipe()
        environment = os.environ | dict.fromkeys(THREADS, "1")
        environment |= {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        program = f"from {__name__} import serve; serve({remote.fileno()})"
        command = [sys.executable, "-W", "ignore", "-c", program]
        with remote:
            self._process = subprocess.Popen(  # noqa: S603 - the function below
                command, env=environment, pass_fds=[remote.fileno()], stdin=subprocess.DEVNULL
            )
        self._connection = connection
        try:
            connection.send(self._function)
            started = connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"A process for {self._function} did not start ({self._cause_of_death()}).") from error
        assert started == READY
        return connection

    def _cause_of_death(self) -> str:
        process = self._process
        if process is None:
            return "another thread ended it"
        code = process.wait()
        self.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve(descriptor: int) -> None:
    """Answer items until nobody sends any: what the other process does.

    All output goes nowhere, that of compiled libraries too.

    Args:
        descriptor: the file descriptor of the connection.
    """
    from matbind.base.processes import end_with_caller

    end_with_caller()
    connection = Connection(descriptor)
    function = connection.recv()
    connection.send(READY)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send(_answer(function, item))


def _answer(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except UserError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever libraries raise, it concerns one item
        return Failure(f"{type(error).__name__}: {error}")
