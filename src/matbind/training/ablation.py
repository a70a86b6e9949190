"""Every combination trained and evaluated, each in a process of its own, recorded, and taken up again after a stop."""

from __future__ import annotations

import csv
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from matbind.base.model_files import CURVES, HISTORY
from matbind.base.provenance import PROVENANCE
from matbind.modalities.combinations import Combination, all_combinations, parse_combination
from matbind.settings.params import Settings
from matbind.tracking.record import summarise
from matbind.tracking.tracker import Tracker
from matbind.training.combination import fingerprint, is_done
from matbind.training.model import open_stores
from matbind.training.progress_log import ProgressLog, cost
from matbind.training.trainer_process import TrainingError, train_in_process

DIGEST_CHARACTERS = 32
DrawCurves = Callable[[Sequence[Mapping[str, float]], Path], Any]


class Ablation:
    """One pass over the combinations; `train` may be called by several threads."""

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
            train: trains and evaluates one combination.

        Raises:
            UserError: if the features are missing or cut short.
        """
        open_stores(FEATURES)  # says what is missing before anything starts
        self.combinations = {combination.name: combination for combination in longest_first(settings)}
        self._settings, self._train, self._draw_curves = settings, train, draw_curves
        self._drawing = threading.Lock()  # Matplotlib's style is one for all threads
        self._tracker = Tracker(warn=log)
        self._done = {
            name
            for name, combination in self.combinations.items()
            if is_done(settings, combination) and "error" not in read_json(METRICS / f"{name}.json")
        }
        models = sorted(fingerprint(settings, combination, FEATURES) for combination in self.combinations.values())
        all_of_it = "".join([*models, repr(settings.evaluation)])
        self._parent = self._tracker.start_ablation(
            settings,
            fingerprint=hashlib.sha256(all_of_it.encode()).hexdigest()[:DIGEST_CHARACTERS],
            is_done=len(self._done) == len(self.combinations),
        )
        self._stop_watching = self._tracker.watch(self._parent)
        self._progress = ProgressLog(list(self.combinations), epochs=settings.training.epochs, log=log)
        for path in METRICS.glob("*.json"):
            if path.stem not in self.combinations:  # not asked for any more, it would be compared with the rest
                path.unlink()

    def train(self, name: str) -> None:
        """Train one combination in a process of its own, or see that this was done before.

        Raises:
            UserError: if its process found a mistake of the user's.
            TrainingError: if its process failed.
        """
        if name in self._done:
            _keep_origin(self._tracker, name)
            self._progress.finish(name, "done before, kept")
            return
        run = recorded(self._tracker, self._parent, self._settings, self.combinations[name])
        with run as run_id:

            def on_epoch(figures: dict[str, float]) -> None:
                self._tracker.log_epoch(run_id, figures)
                self._progress.epoch(name, figures)

            try:
                self._train(name, log=LOGS / f"{name}.log", on_epoch=on_epoch)
            except (UserError, TrainingError) as error:
                self._progress.say(f"{name} failed: {error}")
                raise
            with self._drawing:
                self._draw_curves(read_json(MODELS / name / HISTORY), MODELS / name / CURVES)
        self._progress.finish(name, _in_words(summarise(read_json(METRICS / f"{name}.json"))))

    def finish(self, failures: dict[str, BaseException]) -> None:
        """End the parent run, with an error if a combination failed, else with the learning curves of all.

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
            metrics = read_json(METRICS / f"{name}.json")
            if metrics["run_id"] is None:  # trained without a store, or finished as the stage was killed
                _keep_origin(self._tracker, name, self._tracker.run_of(metrics, parent=self._parent))
        self._stop_watching()
        self._tracker.finish_ablation(self._parent, failed=bool(failures))
        if failures:
            which = "; ".join(f"{name} ({error})" for name, error in failures.items())
            kind = UserError if all(isinstance(error, UserError) for error in failures.values()) else StageError
            raise kind(
                f"{len(failures)} of {len(self.combinations)} combinations failed: {which}; the others are kept, "
                "the same command tries only these again, and ablate.combinations in params.yaml can leave them out"
            )
        write_learning_curves(self.combinations)


@contextmanager
def recorded(
    tracker: Tracker, parent: str | None, settings: Settings, combination: Combination
) -> Iterator[str | None]:
    """Train one combination in the block: its run begins with it, and holds in the end what came out, or the error.

    Args:
        tracker: of the store of runs.
        parent: the run of the ablation, None for a combination that is trained alone.
        settings: all settings, logged as parameters.
        combination: which modalities.

    Yields:
        The run that the epochs are logged to; its id, data and code are also written down beside the metrics.
    """
    run_id = tracker.start_combination(parent, settings, combination)
    try:
        yield run_id
    except BaseException as error:
        tracker.fail(run_id, str(error) or type(error).__name__)
        raise
    model_dir = MODELS / combination.name
    metrics = _keep_origin(tracker, combination.name, run_id)
    beside = (model_dir / name for name in (CURVES, PROVENANCE))
    tracker.complete_curves(run_id, read_json(model_dir / HISTORY))
    files = [METRICS / f"{combination.name}.json", *(path for path in beside if path.exists())]
    tracker.finish_combination(run_id, metrics, files)


def _keep_origin(tracker: Tracker, name: str, run_id: str | None = None) -> dict[str, Any]:
    """Write down data, code and run beside the metrics; what is there from before is right, and stays."""
    origin, path = tracker.origin, METRICS / f"{name}.json"
    metrics = read_json(path)
    complete = {"data_md5": origin.data_md5, "git_commit": origin.code, **metrics}
    complete["run_id"] = run_id or metrics["run_id"]
    if complete != metrics:
        write_json(path, complete)
    return complete


def write_learning_curves(names: Iterable[str]) -> None:
    """Write the learning curves of trained combinations into one table, an epoch a row, which DVC plots."""
    with written_whole(LEARNING_CURVES) as partial, partial.open("w", newline="") as file:
        columns = ["combination", "epoch", "loss", "validation_recall_at_1"]
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for name in names:
            writer.writerows({"combination": name, **epoch} for epoch in read_json(MODELS / name / HISTORY))


def longest_first(settings: Settings) -> list[Combination]:
    """Return the combinations to train; those that take longest begin, so that the workers end at about one time."""
    names, hub_order = settings.ablate.combinations, settings.hub_order
    asked = all_combinations(hub_order) if names is None else [parse_combination(name, hub_order) for name in names]
    return sorted(dict.fromkeys(asked), key=lambda combination: -cost(combination.name))


def _in_words(summary: dict[str, float]) -> str:
    means = {key.removeprefix("recall_at_1."): value for key, value in summary.items() if "_at_1." in key}
    return "test recall@1 " + ", ".join(f"{kind.removesuffix('_mean')} {value:.3f}" for kind, value in means.items())
