"""Every training of an ablation, each in a process of its own, recorded, and taken up again after a stop."""

from __future__ import annotations

import csv
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.base.errors import StageError, UserError
from matbind.base.files import (
    FEATURES,
    LEARNING_CURVES,
    LOGS,
    METRICS,
    MODELS,
    read_json,
    write_json,
    written_whole,
)
from matbind.base.model_files import CURVES, EVALUATION, HISTORY, training_directory
from matbind.base.provenance import PROVENANCE
from matbind.modalities.combinations import Combination, all_combinations, parse_combination
from matbind.settings.params import Settings
from matbind.tracking.record import summarise, training_name
from matbind.tracking.tracker import Tracker
from matbind.training.combination import fingerprint, is_done
from matbind.training.model import open_stores
from matbind.training.pooled import pool
from matbind.training.progress_log import ProgressLog, cost
from matbind.training.trainer_process import TrainingError, train_in_process

DIGEST_CHARACTERS = 32
DrawCurves = Callable[[Sequence[Mapping[str, float]], Path], Any]


@dataclass(frozen=True, slots=True)
class Training:
    """A combination and a seed."""

    combination: Combination
    seed: int

    @property
    def directory(self) -> Path:
        """Where it keeps its files."""
        return training_directory(MODELS, self.combination.name, self.seed)


class Ablation:
    """One pass over the trainings; `train` may be called by several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        draw_curves: DrawCurves,
        log: Callable[[str], None],
        train: Callable[..., None] = train_in_process,
    ) -> None:
        """Open the store of runs and see what is to do.

        Args:
            settings: all settings, with what was tuned laid over them.
            draw_curves: draws the history of a training into a file.
            log: is told the progress in sentences.
            train: trains and evaluates one combination with one seed.

        Raises:
            UserError: if the features are missing or cut short.
        """
        open_stores(FEATURES)  # says what is missing before anything starts
        self.trainings = in_order(settings)
        self._combinations = {t.combination.name: t.combination for t in self.trainings.values()}
        self._settings, self._train, self._draw_curves = settings, train, draw_curves
        self._writing = threading.Lock()  # Matplotlib's style and a combination's metrics file are one for all
        self._tracker = Tracker(warn=log)
        self._done = {name for name, t in self.trainings.items() if is_done(settings, t.combination, seed=t.seed)}
        models = sorted(fingerprint(settings, t.combination, t.seed, FEATURES) for t in self.trainings.values())
        all_of_it = "".join([*models, repr(settings.evaluation)])
        self._parent = self._tracker.start_ablation(
            settings,
            fingerprint=hashlib.sha256(all_of_it.encode()).hexdigest()[:DIGEST_CHARACTERS],
            is_done=len(self._done) == len(self.trainings),
        )
        self._stop_watching = self._tracker.watch(self._parent)
        self._progress = ProgressLog(list(self.trainings), epochs=settings.training.epochs, log=log)
        for path in METRICS.glob("*.json"):
            if path.stem not in self._combinations:  # not asked for any more, it would be compared with the rest
                path.unlink()

    def train(self, name: str) -> None:
        """Do one training in a process of its own, or see that this was done before.

        Raises:
            UserError: if its process found a mistake of the user's.
            TrainingError: if its process failed.
        """
        training = self.trainings[name]
        if name in self._done:
            _keep_origin(self._tracker, training)
            self._progress.finish(name, "done before, kept")
            return
        with recorded(self._tracker, self._parent, self._settings, training) as run_id:

            def on_epoch(figures: dict[str, float]) -> None:
                self._tracker.log_epoch(run_id, figures)
                self._progress.epoch(name, figures)

            combination, seed = training.combination.name, str(training.seed)
            log, program = LOGS / f"{combination}.seed-{seed}.log", ("matbind.cli", "train", "--seed", seed)
            try:
                self._train(combination, log=log, on_epoch=on_epoch, program=program)
            except (UserError, TrainingError) as error:
                self._progress.say(f"{name} failed: {error}")
                raise
            with self._writing:
                self._draw_curves(read_json(training.directory / HISTORY), training.directory / CURVES)
        with self._writing:
            pool(self._settings, training.combination)
        self._progress.finish(name, _in_words(summarise(read_json(training.directory / EVALUATION))))

    def finish(self, failures: dict[str, BaseException]) -> None:
        """End the parent run, with an error if a training failed, else with the learning curves of all.

        Args:
            failures: what each failed training raised last.

        Raises:
            UserError: if all failures are mistakes of the user's.
            StageError: if there are other failures.
        """
        failed = {self.trainings[name].combination.name: error for name, error in failures.items()}
        self._pool_all_but(failed)
        for name, error in failed.items():
            write_json(METRICS / f"{name}.json", {"combination": name, "error": str(error)})
        # Trainings done before, by another ablation or without a store, belong to this one too.
        self._tracker.backfill(MODELS, METRICS, parent=self._parent)
        for training in (self.trainings[name] for name in self._done):
            evaluation = read_json(training.directory / EVALUATION)
            if evaluation["run_id"] is None:  # trained without a store, or finished as the stage was killed
                _keep_origin(self._tracker, training, self._tracker.run_of(evaluation, parent=self._parent))
        self._pool_all_but(failed)  # with the runs that are known now
        self._stop_watching()
        self._tracker.finish_ablation(self._parent, failed=bool(failures))
        if failures:
            which = "; ".join(f"{name} ({error})" for name, error in failures.items())
            kind = UserError if all(isinstance(error, UserError) for error in failures.values()) else StageError
            raise kind(
                f"{len(failures)} of {len(self.trainings)} trainings failed: {which}; the others are kept, "
                "the same command tries only these again, and ablate.combinations in params.yaml can leave them out"
            )
        write_learning_curves(self.trainings.values())

    def _pool_all_but(self, failed: Iterable[str]) -> None:
        for name, combination in self._combinations.items():
            if name not in failed:
                pool(self._settings, combination)


@contextmanager
def recorded(tracker: Tracker, parent: str | None, settings: Settings, training: Training) -> Iterator[str | None]:
    """Train in the block: the run begins with it, and holds in the end what came out, or the error.

    Args:
        tracker: of the store of runs.
        parent: the run of the ablation, None for a training by itself.
        settings: all settings, logged as parameters.
        training: which combination and seed.

    Yields:
        The run that the epochs are logged to; its id, data and code are also written down in the evaluation.
    """
    run_id = tracker.start_combination(parent, settings, training.combination, training.seed)
    try:
        yield run_id
    except BaseException as error:
        tracker.fail(run_id, str(error) or type(error).__name__)
        raise
    evaluation = _keep_origin(tracker, training, run_id)
    tracker.complete_curves(run_id, read_json(training.directory / HISTORY))
    beside = (training.directory / name for name in (CURVES, PROVENANCE))
    tracker.finish_combination(run_id, evaluation, [path for path in beside if path.exists()])


def _keep_origin(tracker: Tracker, training: Training, run_id: str | None = None) -> dict[str, Any]:
    """Write down data, code and run with the evaluation; what is there from before is right, and stays."""
    origin, path = tracker.origin, training.directory / EVALUATION
    evaluation = read_json(path)
    complete = {"data_md5": origin.data_md5, "git_commit": origin.code, **evaluation}
    complete["run_id"] = run_id or evaluation["run_id"]
    if complete != evaluation:
        write_json(path, complete)
    return complete


def write_learning_curves(trainings: Iterable[Training]) -> None:
    """Write the learning curves of trainings into one table, an epoch a row, which DVC plots."""
    with written_whole(LEARNING_CURVES) as partial, partial.open("w", newline="") as file:
        columns = ["combination", "seed", "epoch", "loss", "validation_recall_at_1"]
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for training in trainings:
            start = {"combination": training.combination.name, "seed": training.seed}
            writer.writerows(start | epoch for epoch in read_json(training.directory / HISTORY))


def in_order(settings: Settings) -> dict[str, Training]:
    """Return the trainings to do by name: all combinations of the first seed, then of the next."""
    seeds = settings.ablate.seeds
    trainings = [Training(combination, seed) for seed in seeds for combination in _longest_first(settings)]
    return {training_name(t.combination.name, t.seed, seeds): t for t in trainings}


def _longest_first(settings: Settings) -> list[Combination]:
    """Return the combinations to train; those that take longest begin, so that the workers end at about one time."""
    names, hub_order = settings.ablate.combinations, settings.hub_order
    asked = all_combinations(hub_order) if names is None else [parse_combination(name, hub_order) for name in names]
    return sorted(dict.fromkeys(asked), key=lambda combination: -cost(combination.name))


def _in_words(summary: dict[str, float]) -> str:
    means = {key.removeprefix("recall_at_1."): value for key, value in summary.items() if "_at_1." in key}
    return "test recall@1 " + ", ".join(f"{kind.removesuffix('_mean')} {value:.3f}" for kind, value in means.items())
