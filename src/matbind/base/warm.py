"""Programs of Python that begin with their libraries imported, forked from a process that has imported them.

PyTorch and PyTorch Geometric take seconds to import, in every process anew. The process that forks does nothing but
import, so no thread and no lock of a library is there to be lost. It ends with the process that started it; so does a
program that reads its standard input to the end.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TextIO

LONGEST_COMMAND = 65536  # bytes


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs.

    Attributes:
        stdin: held open as long as the program is to live.
        stdout: what it prints.
        status: where its exit code will be written.
    """

    stdin: IO[bytes]
    stdout: TextIO
    status: IO[bytes]

    def wait(self) -> int:
        """Wait for the end and return the exit code, as `subprocess` has it: negative for a signal."""
        code = self.status.read()
        for file in (self.stdin, self.stdout, self.status):
            file.close()
        return int(code) if code else -signal.SIGKILL  # who should have told it was killed too


class Warm:
    """A process that imports modules once and then starts programs, from any thread."""

    def __init__(self, modules: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Remember what to import; the process begins with the first program."""
        self._modules, self._environment = modules, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, module: str, *arguments: str, stderr: IO[str]) -> Program:
        """Start `python -m module arguments` in the current directory and a session of its own.

        Args:
            module: whose `__main__` runs.
            arguments: for it.
            stderr: a file that takes its errors.
        """
        stdin, stdout, status = os.pipe(), os.pipe(), os.pipe()
        theirs = (stdin[0], stdout[1], stderr.fileno(), status[1])
        with self._lock:
            socket.send_fds(self._running(), [json.dumps([str(Path.cwd()), module, *arguments]).encode()], theirs)
        for descriptor in (stdin[0], stdout[1], status[1]):
            os.close(descriptor)
        return Program(os.fdopen(stdin[1], "wb"), os.fdopen(stdout[0], encoding="utf-8"), os.fdopen(status[0], "rb"))

    def _running(self) -> socket.socket:
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-m", __name__, str(theirs.fileno()), *self._modules]
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    env=dict(self._environment),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        return self._socket


def serve(descriptor: int, modules: Sequence[str]) -> None:
    """Import modules, then start a program for every message, until nobody can send one any more.

    A program is the grandchild: the child between waits for its end and tells the exit code, so that this process has
    nothing to wait for.
    """
    for module in modules:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    connection = socket.socket(fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, LONGEST_COMMAND, 4)
        if not message:
            return
        if os.fork() == 0:
            connection.close()
            if _is_program(*descriptors):
                directory, module, *sys.argv[1:] = json.loads(message)
                os.chdir(directory)
                sys.path[0] = directory  # as `python -m` has it
                runpy.run_module(module, run_name="__main__", alter_sys=True)
                return
            os._exit(0)
        for used in descriptors:
            os.close(used)


def _is_program(stdin: int, stdout: int, stderr: int, status: int) -> bool:
    """Fork once more: the new process is the program; this one waits for its end and tells the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process:
        for used in (stdin, stdout, stderr):
            os.close(used)
        _, ended = os.waitpid(process, 0)
        with suppress(BrokenPipeError):  # nobody is left who wants to know
            os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
        return False
    os.close(status)
    os.setsid()
    for number, used in enumerate((stdin, stdout, stderr)):
        os.dup2(used, number)
        os.close(used)
    return True


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
