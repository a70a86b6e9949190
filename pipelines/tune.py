"""The tune stage: a search for better settings than those of params.yaml, and a judgement whether they are."""

from __future__ import annotations

from typing import Any

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from matbind.base.errors import StageError, UserError
from matbind.base.files import LOGS
from matbind.settings.params import Settings
from pipelines.stage import reporter, run, stage
from pipelines.tasks import RETRY_SECONDS, alone, cores_or, worth_another_try
from pipelines.trials import TuningRun, switch_off

LOCK = LOGS / "tune.lock"


@stage
def tune(settings: Settings) -> None:
    """Run the trials as mapped tasks, choose, and evaluate the defaults and the best trial on test."""
    own, log = settings.tune, reporter("tune")
    if not own.enabled:
        switch_off(settings, log=log)
        return
    with alone(LOCK, "tuning"):
        tuning = TuningRun(settings, own, log=log)
        options: dict[str, Any] = {
            "task_run_name": "trial {number}",
            "cache_policy": NO_CACHE,
            "persist_result": False,
            "retries": own.retries,
            "retry_delay_seconds": RETRY_SECONDS,
            "retry_condition_fn": worth_another_try,
        }

        @task(**options)
        def trial(number: int) -> None:
            tuning.trial(number, is_last_try=runtime.task_run.run_count > own.retries)

        @task(**{**options, "task_run_name": "test of trial {number}"})
        def evaluate(number: int) -> None:
            tuning.evaluate(number)

        runner: ThreadPoolTaskRunner[None] = ThreadPoolTaskRunner(max_workers=min(cores_or(own.workers), own.ahead))
        with runner:
            _all_of(runner.map(trial, {"number": list(range(own.trials))}))
            _all_of(runner.map(evaluate, {"number": tuning.to_evaluate()}))
        tuning.finish()


def _all_of(futures: Any) -> None:
    """Wait for tasks and raise the first error, those of the user's first."""
    found = [future.result(raise_on_failure=False) for future in futures]
    errors = [each for each in found if isinstance(each, BaseException)]
    for error in sorted(errors, key=lambda each: not isinstance(each, UserError)):
        raise error if isinstance(error, UserError) else StageError(str(error)) from error


if __name__ == "__main__":
    run(tune)
