"""The ablate stage: every combination trained and evaluated, some at a time, and taken up again after a stop."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from matbind.base.errors import StageError, UserError
from matbind.base.files import FEATURES, LOGS, METRICS, MODELS, SUMMARIES, read_json, write_json
from matbind.base.model_files import CURVES, HISTORY, SETTINGS
from matbind.base.provenance import PROVENANCE
from matbind.modalities.combinations import Combination, all_combinations, parse_combination
from matbind.modalities.store import Store
from matbind.report.style import learning_curves
from matbind.settings.params import Settings
from matbind.tracking.record import summarise
from matbind.tracking.tracker import Tracker
from matbind.training import combination as ablation
from matbind.training.tuning.space import apply_tuned
from pipelines.progress import Progress, cost
from pipelines.stage import reporter, run, stage
from pipelines.tasks import RETRY_SECONDS, alone, cores_or, worth_another_try
from pipelines.trainers import TrainingError, train_in_process

LOCK = LOGS / "ablate.lock"


@stage
def ablate(settings: Settings) -> None:
    """Train and evaluate the combinations as mapped tasks; the stage fails at the end if any of them failed."""
    with alone(LOCK, "ablation"):
        ablation_run = AblationRun(apply_tuned(settings), log=reporter("ablate"))

        @task(
            task_run_name="{combination}",
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=settings.ablate.retries,
            retry_delay_seconds=RETRY_SECONDS,
            retry_condition_fn=worth_another_try,
        )
        def train(combination: str) -> None:
            ablation_run.train(combination)

        names = list(ablation_run.combinations)
        runner: ThreadPoolTaskRunner[None] = ThreadPoolTaskRunner(max_workers=cores_or(settings.ablate.workers))
        with runner:
            futures = runner.map(train, {"combination": names})
            outcomes = [future.result(raise_on_failure=False) for future in futures]
        ablation_run.finish({n: o for n, o in zip(names, outcomes, strict=True) if isinstance(o, BaseException)})


class AblationRun:
    """One pass over the combinations: what Prefect's tasks do, without Prefect."""

    def __init__(
        self, settings: Settings, *, log: Callable[[str], None], train: Callable[..., None] = train_in_process
    ) -> None:
        """Open the store of runs and see what is to do.

        Raises:
            UserError: if the features are missing or cut short.
        """
        for name in settings.modalities:
            Store(FEATURES / name)
        self.settings = settings
        self.combinations = {each.name: each for each in longest_first(settings)}
        self._train = train
        self._drawing = threading.Lock()  # Matplotlib's style is one for all threads
        self._tracker = Tracker(warn=log)
        self._done = {name for name, each in self.combinations.items() if self._is_done(each)}
        all_done = len(self._done) == len(self.combinations)
        self._parent = self._tracker.start_ablation(settings, mark=self._mark(), is_done=all_done)
        self._stop_watching = self._tracker.watch(self._parent)
        self._progress = Progress(list(self.combinations), epochs=settings.training.epochs, log=log)
        self._forget_others()

    def train(self, name: str) -> None:
        """Train one combination in a process of its own, or see that this was done before.

        Raises:
            UserError: if its process found a mistake of the user's.
            TrainingError: if its process failed.
        """
        if name in self._done:
            self._keep_origin(name)
            self._summarise(name)
            self._progress.finish(name, "done before, kept")
            return
        run_id = self._tracker.start_combination(self._parent, self.settings, self.combinations[name])

        stops: list[Callable[[], None]] = []

        def on_start(pid: int) -> None:
            stops.append(self._tracker.watch(run_id, pid))

        def on_epoch(figures: dict[str, float]) -> None:
            self._tracker.log_epoch(run_id, figures)
            self._progress.epoch(name, figures)

        try:
            self._train(name, log=LOGS / f"{name}.log", on_epoch=on_epoch, on_start=on_start)
        except (UserError, TrainingError) as error:
            self._tracker.fail(run_id, str(error))
            self._progress.say(f"{name} failed: {error}")
            raise
        finally:
            for stop in stops:
                stop()
        found = self._keep_origin(name, run_id)
        self._tracker.complete_curves(run_id, read_json(MODELS / name / HISTORY))
        self._tracker.finish_combination(run_id, found, [METRICS / f"{name}.json", *self._files(name)])
        self._progress.finish(name, _in_words(self._summarise(name)))

    def finish(self, failures: dict[str, BaseException]) -> None:
        """End the parent run, and the stage with it if a combination failed.

        Args:
            failures: what each failed combination raised last.

        Raises:
            UserError: if all failures are mistakes of the user's.
            StageError: if there are other failures.
        """
        for name, error in failures.items():
            write_json(METRICS / f"{name}.json", {"combination": name, "error": str(error)})
        # Combinations done before, by another ablation or without a store, belong to this one too.
        self._tracker.backfill(MODELS, METRICS, parent=self._parent)
        for name in self._done:
            self._keep_run(name)
        self._stop_watching()
        self._tracker.finish_ablation(self._parent, failed=bool(failures))
        if failures:
            which = "; ".join(f"{name} ({error})" for name, error in failures.items())
            kind = UserError if all(isinstance(error, UserError) for error in failures.values()) else StageError
            raise kind(
                f"{len(failures)} of {len(self.combinations)} combinations failed: {which}; the others are kept, "
                "the same command tries only these again, and ablate.combinations in params.yaml can leave them out"
            )

    def _is_done(self, combination: Combination) -> bool:
        done = ablation.is_done(self.settings, combination, features=FEATURES, models=MODELS, metrics=METRICS)
        return done and "error" not in read_json(METRICS / f"{combination.name}.json")

    def _mark(self) -> str:
        """Digest of all that the results depend on."""
        marks = sorted(ablation.fingerprint(self.settings, each, FEATURES) for each in self.combinations.values())
        return hashlib.sha256("".join([*marks, repr(self.settings.evaluation)]).encode()).hexdigest()[:32]

    def _forget_others(self) -> None:
        """Metrics of combinations that are not asked for any more would be compared with the rest."""
        for path in (*METRICS.glob("*.json"), *SUMMARIES.glob("*.json")):
            if path.stem not in self.combinations:
                path.unlink()

    def _keep_origin(self, name: str, run_id: str | None = None) -> dict[str, Any]:
        """Write down data, code and run beside the metrics; what is there from before is right, and stays."""
        origin, path = self._tracker.origin, METRICS / f"{name}.json"
        found = read_json(path)
        kept = {"data_md5": origin.data_md5, "git_commit": origin.code, **found, "run_id": run_id or found["run_id"]}
        if kept != found:
            write_json(path, kept)
        return kept

    def _keep_run(self, name: str) -> None:
        """Write down the run of a combination that was trained without a store, or finished as the stage was killed."""
        found = read_json(METRICS / f"{name}.json")
        if found["run_id"] is None:
            self._keep_origin(name, self._tracker.run_of(found, parent=self._parent))

    def _files(self, name: str) -> Iterator[Path]:
        history, figure = read_json(MODELS / name / HISTORY), MODELS / name / CURVES
        with self._drawing:
            learning_curves(history, figure)
        yield from (figure, MODELS / name / SETTINGS, MODELS / name / PROVENANCE)

    def _summarise(self, name: str) -> dict[str, float]:
        summary = summarise(read_json(METRICS / f"{name}.json"))
        write_json(SUMMARIES / f"{name}.json", summary)
        return summary


def longest_first(settings: Settings) -> list[Combination]:
    """The combinations to train; those that take longest begin, so that the workers end at about the same time."""
    if settings.ablate.combinations is None:
        found = list(all_combinations(settings.hub_order))
    else:
        found = [parse_combination(name, settings.hub_order) for name in dict.fromkeys(settings.ablate.combinations)]
    return sorted(found, key=lambda combination: -cost(combination.name))


def _in_words(summary: dict[str, float]) -> str:
    means = {key.removeprefix("recall_at_1."): value for key, value in summary.items() if "_at_1." in key}
    return "test recall@1 " + ", ".join(f"{kind.removesuffix('_mean')} {value:.3f}" for kind, value in means.items())


if __name__ == "__main__":
    run(ablate)
