"""The experiment: fetch the data, run what is stale, share the results, tell what came out. Once, or by a schedule.

    python -m pipelines.experiment
    python -m pipelines.experiment --set training.epochs=20 --name longer
    python -m pipelines.experiment serve --cron "0 3 * * *"

This is no stage of DVC: it is what runs DVC, which runs the stages.
"""

from __future__ import annotations

import re
import signal
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.schedules import CronSchedule
from prefect.schedules import Cron

from matbind.base.errors import USER_ERROR, StageError, UserError, shown
from pipelines import summary
from pipelines.dvc import Outcome, run_dvc
from pipelines.server import api_server
from pipelines.stage import reporter, run
from pipelines.tasks import is_worth_another_try

POINTER = "data.dvc"
DEPLOYMENT = "scheduled"
TRAINING = "training"  # the tag of what a server can be told to run once at a time
RETRY_SECONDS = 5.0
_NO_REMOTE = re.compile(r"no remote|remote '[^']*' (doesn't|does not) exist|config file error", re.IGNORECASE)
_CHANGE = re.compile(r"[\w.]+=.*")


@task(retries=2, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=is_worth_another_try, cache_policy=NO_CACHE)
def pull() -> None:
    """Fetch the data that data.dvc names; a remote that is not configured is a mistake of the user's."""
    done = run_dvc("pull", POINTER, log=reporter("pull"))
    if not done.succeeded:
        raise _refusal(f"{POINTER}: the data cannot be pulled", done)


@task(
    tags={TRAINING},
    retries=1,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_worth_another_try,
    cache_policy=NO_CACHE,
)
def reproduce(changes: list[str], name: str | None) -> None:
    """Run the stages that are stale; a second try goes on where the first one stopped.

    Raises:
        UserError: if a stage found a mistake of the user's.
        StageError: if a stage failed otherwise.
    """
    named = ["--name", name] if name else []
    as_experiment = [*named, *(part for change in changes for part in ("--set-param", change))]
    command = ["exp", "run", *as_experiment] if as_experiment else ["repro"]
    done = run_dvc(*command, log=reporter("dvc"))
    if done.succeeded:
        return
    if done.stage is None or done.stage_code is None:
        raise _refusal(f"dvc {command[0]} failed", done)
    kind = UserError if done.stage_code == USER_ERROR else StageError
    raise kind(f"stage {done.stage} failed with exit code {done.stage_code}: {done.last_words(of_stage=True)}")


@task(retries=2, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=is_worth_another_try, cache_policy=NO_CACHE)
def push(remote: str) -> None:
    """Share the results by a remote; one that does not exist is a mistake of the user's."""
    done = run_dvc("push", "--remote", remote, log=reporter("push"))
    if not done.succeeded:
        raise _refusal(f"the results cannot be pushed to {remote}", done)


@flow(name="experiment", persist_result=False)
def experiment(
    changes: list[str] | None = None,
    name: str | None = None,
    push_to: str | None = None,
    pull_data: bool = True,  # noqa: FBT001, FBT002  # a parameter on Prefect's page
) -> None:
    """Fetch the data, run what is stale, share the results, tell what came out.

    Args:
        changes: settings changed for this run, such as "training.epochs=20"; makes it a DVC experiment.
        name: of the DVC experiment; DVC draws one by default.
        push_to: the DVC remote that the results are pushed to; by default they stay here.
        pull_data: whether to fetch the data first.

    Raises:
        UserError: if a change is not written as key=value, or a step met a mistake of the user's.
        StageError: if a step failed otherwise.
    """
    log = reporter("experiment")
    for change in changes or []:
        if not _CHANGE.fullmatch(change):
            raise UserError(f"--set {change}: found no key and value, expected such as training.epochs=20")
    if pull_data:
        outcome = pull(return_state=True).result(raise_on_failure=False)
        if isinstance(outcome, (UserError, StageError)) and any(Path("data").glob("*.parquet")):
            log(f"{outcome}; going on with the data that are here")
        elif isinstance(outcome, BaseException):
            raise outcome
    reproduce(changes or [], name)
    if push_to:
        push(push_to)
    task(name="summarise", cache_policy=NO_CACHE)(summary.publish)()
    for row in summary.recall_rows():
        means = ", ".join(f"{kind} {mean:.3f}" for kind, mean in row.items() if isinstance(mean, float))
        log(f"{row['combination']}: test recall@1 {means}")
    log(f"runs: {summary.mlflow_link()}; report: {summary.report_file() or 'none'}")


def _refusal(what: str, done: Outcome) -> UserError | StageError:
    """Return the error of a DVC command that failed: of the user's, if it is the remote that is not configured."""
    kind = UserError if _NO_REMOTE.search(done.last_words()) else StageError
    return kind(f"{what}: {done.last_words()}")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; makes a DVC experiment.")
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the DVC experiment.")]
PushTo = Annotated[str | None, typer.Option("--push", metavar="REMOTE", help="Push the results to this DVC remote.")]
Pull = Annotated[bool, typer.Option("--pull/--no-pull", help="Fetch the data first.")]


@app.callback(invoke_without_command=True)
def once(
    context: typer.Context, changes: Changes = None, name: Name = None, push_to: PushTo = None, *, pull: Pull = True
) -> None:
    """Fetch the data, run what is stale, share the results, tell what came out."""
    if context.invoked_subcommand is None:
        run(lambda _params: experiment(changes, name, push_to, pull))


@app.command()
def serve(
    cron: Annotated[str, typer.Option(help="When to run: minute, hour, day of month, month, day of week.")],
    timezone: Annotated[str, typer.Option(help="Of the schedule, such as Europe/Berlin.")] = "UTC",
    changes: Changes = None,
    push_to: PushTo = None,
    *,
    pull: Pull = True,
) -> None:
    """Stay and run the experiment by a schedule, one run at a time; Ctrl-C ends it."""
    try:
        schedule = Cron(cron, timezone=timezone)
        CronSchedule(cron=cron, timezone=timezone)  # which has the rules of Prefect's server
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"--cron {cron!r} --timezone {timezone}: no schedule ({reason}), expected such as '0 3 * * *'"
        ) from error
    with api_server(schedules=True) as wait_until_it_answers:
        wait_until_it_answers()
        reporter("experiment")(f"serving by the schedule {cron} ({timezone}); Ctrl-C ends it")
        # SIGTERM ends it as Ctrl-C does; Prefect's runner, once it runs, leaves a coroutine then that nobody waits for.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        warnings.filterwarnings("ignore", message="coroutine 'Runner.astop' was never awaited")
        with suppress(KeyboardInterrupt):
            experiment.serve(
                name=DEPLOYMENT,
                schedules=[schedule],
                paused=False,
                parameters={"changes": changes, "push_to": push_to, "pull_data": pull},
                limit=1,
                global_limit=1,
                print_starting_message=False,
            )


if __name__ == "__main__":
    with shown():
        app(prog_name="python -m pipelines.experiment")
