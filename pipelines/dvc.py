"""DVC as a program: its output as it comes, and which stage failed of what. No stage may use this."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 8
_RUNNING = re.compile(r"^Running stage '([^']+)'")
_EXIT_CODE = re.compile(r"exited with (-?\d+)")
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """How a DVC command ended.

    Attributes:
        succeeded: whether DVC reports success.
        stage: the last stage that was started.
        stage_code: its exit code, None unless it failed.
        lines: the last lines that were printed.
    """

    succeeded: bool
    stage: str | None
    stage_code: int | None
    lines: tuple[str, ...]

    def last_words(self, *, of_stage: bool = False) -> str:
        """Join the last lines: DVC's errors, or with ``of_stage`` those that the stage itself ended with."""
        errors = [line.removeprefix("ERROR: ") for line in self.lines if line.startswith("ERROR: ")]
        rest = [line for line in self.lines if not line.startswith("ERROR: ")]
        return " | ".join((rest if of_stage else errors) or self.lines)


def run_dvc(*arguments: str, log: Callable[[str], None]) -> Outcome:
    """Run a DVC command, which ends with this process however that ends.

    Args:
        arguments: such as "pull" and "data.dvc".
        log: is given each line as it comes.
    """
    from prefect.settings import PREFECT_API_URL

    search = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT__")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONUNBUFFERED": "1",
    }
    if PREFECT_API_URL.value():  # the stages' flows appear beside the one that runs them
        environment["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
    lines: deque[str] = deque(maxlen=LAST_LINES)
    stage, code = None, None
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "pipelines.dvc", *arguments],
        env=environment,
        stdin=subprocess.PIPE,  # held open while this process lives; DVC ends when it closes
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        for raw in process.stdout or ():
            line = _TERMINAL.sub("", raw).rstrip()
            if not line:
                continue
            log(line)
            lines.append(line)
            started, ended = _RUNNING.match(line), _EXIT_CODE.search(line)
            stage = started.group(1) if started else stage
            code = int(ended.group(1)) if ended and line.startswith("ERROR: ") else code
    return Outcome(process.returncode == 0, stage, code, tuple(lines))


def main() -> None:
    """Run DVC in this process, which ends when its standard input does."""
    from matbind.base.processes import end_with_parent

    end_with_parent()
    from dvc.cli import main as dvc

    sys.exit(dvc(sys.argv[1:]))


if __name__ == "__main__":
    main()
