"""The tune stage: a search for better settings than those of params.yaml, and a judgement whether there are."""

from collections.abc import Iterable
from typing import Any

from prefect import runtime
from prefect.artifacts import create_markdown_artifact

from matbind.base.errors import StageError, UserError
from matbind.base.files import LOGS, locked
from matbind.report.tuning import write_tuning
from matbind.settings.params import Settings
from matbind.training.tuning.run import REPORTS, Tuning, switch_off
from pipelines.stage import reporter, run, stage
from pipelines.tasks import cores_or, outcomes_of, training_task

LOCK = LOGS / "tune.lock"


@stage
def tune(settings: Settings) -> None:
    """Run the trials as mapped tasks, choose, and evaluate the first and the best trial on test."""
    tune_settings, log = settings.tune, reporter("tune")
    if not tune_settings.enabled:
        write_tuning(switch_off(settings, log=log), None, REPORTS)
        _show()
        return
    with locked(LOCK, "tuning"):
        tuning = Tuning(settings, log=log)

        @training_task(name="trial {number}", retries=tune_settings.retries)
        def trial(number: int) -> None:
            tuning.trial(number, is_last_try=runtime.task_run.run_count > tune_settings.retries)

        @training_task(name="test of trial {number}", retries=tune_settings.retries)
        def evaluate(number: int) -> None:
            tuning.evaluate(number)

        at_a_time = min(cores_or(tune_settings.workers), tune_settings.ahead)
        _raise_first(outcomes_of(trial, "number", range(tune_settings.trials), at_a_time=at_a_time))
        _raise_first(outcomes_of(evaluate, "number", tuning.to_evaluate(), at_a_time=at_a_time))
        result = tuning.result()
        tuning.finish(result, write_tuning(result, tuning.study.finished(), REPORTS))
        _show()


def _show() -> None:
    """Show the verdict on Prefect's page, without the links to the figures, which are files beside it."""
    text, _, _ = (REPORTS / "tuning.md").read_text().partition("\nFigures: ")
    create_markdown_artifact(text, key="tune", description="Whether other settings are better than the start")


def _raise_first(outcomes: Iterable[Any]) -> None:
    """Raise the first error among what tasks came to, the user's before others."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in sorted(errors, key=lambda error: not isinstance(error, UserError)):
        raise error if isinstance(error, UserError) else StageError(str(error)) from error


if __name__ == "__main__":
    run(tune)
