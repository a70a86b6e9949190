"""What all stages have in common: settings first, then a flow, and errors a user can read."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.exceptions import MissingContextError

from matbind.base.errors import shown
from matbind.base.processes import end_with_caller
from matbind.settings.load import PARAMS_FILE, load
from matbind.settings.params import Settings
from pipelines.server import api_server


def stage(function: Callable[[Settings], Any]) -> Flow[..., Any]:
    """Make a flow of a function of the settings; the flow takes the path of the params file."""

    @flow(
        name=function.__name__,
        flow_run_name=lambda: f"{function.__name__} {datetime.now():%Y-%m-%d %H:%M}",  # noqa: DTZ005  # the user's clock
        description=function.__doc__,
        persist_result=False,
        validate_parameters=False,
    )
    @wraps(function)
    def body(params: Path = PARAMS_FILE) -> Any:
        return function(load(params))

    return body


def reporter(name: str) -> Callable[[str], None]:
    """Return what prints sentences of one stage as they come, and logs them on the page of the run they belong to.

    In a task that is the task run's; in a thread that a stage started by itself, the run this function was called in.
    """
    around = copy_context()

    def log(sentence: str) -> None:
        sys.stdout.write(f"[{name}] {sentence}\n")
        sys.stdout.flush()
        try:
            _log_to_page(sentence)
        except MissingContextError:
            with suppress(MissingContextError):  # said before a flow begins: it belongs to no page
                around.copy().run(_log_to_page, sentence)

    return log


def _log_to_page(sentence: str) -> None:
    get_run_logger().info(sentence)


def run(stage_flow: Callable[[Path], Any], params: Path = PARAMS_FILE) -> None:
    """Run a stage as a program.

    A mistake in the settings ends it before its flow starts: exit code 2, one sentence. Ctrl-C and SIGTERM end the
    process at once: whatever is written appears whole or not at all, and the processes a stage started end with it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    if "DVC_STAGE" in os.environ:  # a killed `dvc repro` would otherwise leave its stage behind, training unseen
        end_with_caller()
    with shown(), api_server() as wait_until_it_answers:
        load(params)
        wait_until_it_answers()
        # In the main thread Prefect would take over the signals, and then wait for its tasks however long they take.
        with ThreadPoolExecutor(1) as main_flow:
            main_flow.submit(copy_context().run, stage_flow, params).result()


def _stop(number: int, _frame: Any) -> None:
    os.write(sys.stderr.fileno(), b"matbind: stopped; what is finished is kept, the same command goes on from there\n")
    os._exit(128 + number)
