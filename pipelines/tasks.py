"""What the flows have in common: tasks that train, what is worth a retry, how many run at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from matbind.base.errors import UserError

RETRY_SECONDS = 2


def cores_or(workers: int) -> int:
    """Return how many processes to run at a time: as asked, or for 0 as many as there are cores for this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return workers or cores or 1


def training_task(*, name: str, retries: int) -> Callable[[Callable[..., None]], Task[..., None]]:
    """Make tasks that train: tried again after a failure, never answered from a cache, named with their parameters."""
    return task(
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=retries,
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=is_worth_another_try,
    )


def outcomes_of(task: Task[..., None], parameter: str, values: Sequence[Any], *, at_a_time: int) -> list[Any]:
    """Run a task once for each value of its parameter, and return what the runs came to: None, or an error."""
    runner: ThreadPoolTaskRunner[None] = ThreadPoolTaskRunner(max_workers=at_a_time)
    with runner:
        return [future.result(raise_on_failure=False) for future in runner.map(task, {parameter: list(values)})]


def is_worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Tell Prefect whether to try again: a mistake of the user's stays one."""
    return not isinstance(state.result(raise_on_failure=False), UserError)
