"""Runs in MLflow: one parent an ablation, one child a training.

Tracking is a record and never a condition: a store that cannot be used costs one warning, the training goes on, and
what is missing is added later from the files by `Tracker.backfill`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from matbind.base.files import read_json
from matbind.base.model_files import HISTORY, training_directory
from matbind.base.provenance import PROVENANCE, read_origin, workspace_fingerprint
from matbind.modalities.combinations import Combination, parse_combination
from matbind.settings.params import Settings
from matbind.tracking.pages import view_path
from matbind.tracking.record import (
    SEED,
    combination_tags,
    curve_point,
    result_digest,
    stored_settings,
    training_name,
    training_params,
)
from matbind.tracking.runs import DVC_EXPERIMENT, KIND, PARENT, RESULT, Runs, experiment_tag
from matbind.tracking.store import reason_of, tracking_uri

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Restorable:
    """A training whose run can be made from files."""

    evaluation: Mapping[str, Any]
    model_dir: Path
    seeds: Sequence[int]  # of the combination
    ended: float  # about when, seconds since 1970


class Tracker:
    """Writes runs to the store; after the first failure it says so once and does nothing more.

    Every method may be called from several threads. A run that could not be created has the id None, which is accepted.
    """

    def __init__(self, *, warn: Callable[[str], None], root: Path = Path()) -> None:
        """Open the store, once and before any parallel writer; its tables are created if they are not there.

        Args:
            warn: is given the one sentence if the store cannot be used.
            root: the project directory: SQLite and artifacts are there unless MLFLOW_TRACKING_URI names another store.
        """
        self.origin = read_origin(root)
        self._root, self._warn, self._lock = root, warn, threading.RLock()
        self._runs: Runs | None = None
        try:
            self._runs = Runs(root)
            self._runs.close_abandoned()
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the store, the training is not to suffer
            self._give_up(error)

    def start_ablation(self, settings: Settings, *, fingerprint: str, is_done: bool) -> str | None:
        """Start the parent run of an ablation, or go on in that of an interrupted one with the same fingerprint.

        A DVC experiment has a parent of its own, which bears its name.

        Args:
            settings: logged as parameters.
            fingerprint: digest of all that the results depend on; only a run that would give the same goes on.
            is_done: whether nothing is left to train; then the run of a finished ablation will do as well.
        """
        return self._start_parent("ablation", settings, {}, fingerprint=fingerprint, unfinished=not is_done)

    def start_combination(
        self, parent: str | None, settings: Settings, combination: Combination, seed: int
    ) -> str | None:
        """Start the run of one training, below the parent if there is one; an interrupted one goes on."""

        def start(runs: Runs) -> str:
            tags = {KIND: "combination", **combination_tags(combination), SEED: str(seed), "preset": settings.preset}
            if parent is not None:
                tags[PARENT] = parent
                unfinished = runs.search(_training_below(parent, combination.name, seed), unfinished=True)
                if unfinished:
                    return runs.reopen(unfinished[0].info.run_id)
            name = training_name(combination.name, seed, settings.ablate.seeds)
            return runs.create(name, in_full(settings), tags, params=training_params(combination, seed))

        return self._try(start)

    def log_epoch(self, run_id: str | None, figures: Mapping[str, float]) -> None:
        """Add one epoch's figures to a run's curves."""
        self._try_run(run_id, lambda runs, run: runs.log(run, curve_point(figures), step=int(figures["epoch"])))

    def watch(self, run_id: str | None) -> Callable[[], None]:
        """Let MLflow add what is taken of the machine to the run of an ablation, until the returned function is called.

        The runs of its combinations have none of that: they are there to be compared.
        """

        def start(_: Runs, run: str) -> Callable[[], None]:
            from mlflow.system_metrics import system_metrics_monitor

            library: Any = system_metrics_monitor
            monitor = library.SystemMetricsMonitor(run, resume_logging=True, tracking_uri=tracking_uri(self._root))
            monitor.start()
            return cast(Callable[[], None], monitor.finish)

        return self._try_run(run_id, start) or (lambda: None)

    def complete_curves(self, run_id: str | None, history: Iterable[Mapping[str, float]]) -> None:
        """Add the epochs that a run has not: those of a training that was interrupted, or only evaluated anew."""
        self._try_run(run_id, lambda runs, run: runs.complete_curves(run, history))

    def finish_combination(self, run_id: str | None, evaluation: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Record what a training reached, with a figure and a table of its pairs and with files, and end its run."""
        self._try_run(run_id, lambda runs, run: runs.finish(run, evaluation, files, ended=time.time()))

    def fail(self, run_id: str | None, reason: str) -> None:
        """End a run that did not reach its end."""

        def end(runs: Runs, run: str) -> None:
            runs.tag(run, "error", reason)
            runs.client.set_terminated(run, "FAILED")

        self._try_run(run_id, end)

    def finish_ablation(self, run_id: str | None, *, failed: bool = False) -> None:
        """End a parent run; the table of its combinations becomes its description."""

        def end(runs: Runs, run: str) -> None:
            runs.describe(run)
            runs.client.set_terminated(run, "FAILED" if failed else "FINISHED")

        self._try_run(run_id, end)

    def log_comparison(self, metrics: Iterable[Mapping[str, Any]], files: Iterable[Path]) -> None:
        """Keep the comparison's files with the ablation whose metrics were compared, and what DVC locked of it."""
        evaluations = [training for content in metrics for training in content.get("trainings", ())]

        def log(runs: Runs) -> None:
            parent = _parent_of(runs, evaluations)
            if parent is not None:
                runs.keep(parent, files, "comparison")
                runs.lock(parent)

        self._try(log)

    def log_validation(self, settings: Settings, document: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Keep `validation.json` as a run: each modality's counts as metrics, files, and the data that passed."""

        def log(runs: Runs) -> None:
            tags = {KIND: "validation", "passed": str(document["passed"]).lower(), "preset": settings.preset}
            run = runs.create(f"validation {_minute()}", in_full(settings), tags)
            for name, counts in document["modalities"].items():
                runs.log(run, {f"{name}.{key}": float(counts[key]) for key in ("values", "quarantined", "share")})
            runs.keep(run, files, "validation")
            runs.client.set_terminated(run)

        self._try(log)

    def run_of(self, evaluation: Mapping[str, Any], *, parent: str | None) -> str | None:
        """Return the run below a parent that holds the content of a metrics file."""
        terms = {PARENT: str(parent), RESULT: result_digest(evaluation)}
        same = self._try_run(parent, lambda runs, _: runs.search(terms))
        return str(same[0].info.run_id) if same else None

    def backfill(self, models: Path, metrics: Path, *, parent: str | None = None) -> int:
        """Create the runs that files tell of and the store does not hold: after `dvc pull`, or after the store failed.

        Args:
            models: directory of the models, with their settings and history.
            metrics: directory of the metrics files.
            parent: the ablation the runs have to be below; by default any will do.

        Returns:
            How many runs of trainings were added; a second call adds none.
        """
        return self._try(lambda runs: self._backfill(runs, models, metrics, parent)) or 0

    def _backfill(self, runs: Runs, models: Path, metrics: Path, parent: str | None) -> int:
        finished = []
        for path in sorted(metrics.glob("*.json")):
            content, ended = read_json(path), path.stat().st_mtime
            for training in content.get("trainings", ()):
                model_dir = training_directory(models, content["combination"], training["seed"])
                finished.append(_Restorable(training, model_dir, content["seeds"], ended))
        below = {} if parent is None else {PARENT: parent}
        missing = [
            restorable
            for restorable in finished
            if not runs.search({RESULT: result_digest(restorable.evaluation), **below})
        ]
        if not missing:
            return 0
        parent = parent or _parent_of(runs, (restorable.evaluation for restorable in finished))
        if parent is None:
            parent = self._restore_parent(runs, missing[0])
        for restorable in missing:
            _restore(runs, parent, restorable)
        runs.describe(parent)
        return len(missing)

    def _restore_parent(self, runs: Runs, first: _Restorable) -> str:
        """Make the run of an ablation from the files of its first training."""
        settings = stored_settings(first.model_dir)
        preset = settings.get("preset", "")
        tags = {KIND: "ablation", "matbind.workspace": workspace_fingerprint(self._root), "preset": preset}
        name = f"ablation {preset} {_minute(first.ended)} (restored)"
        parent = runs.create(name, settings, tags, evaluation=first.evaluation, started=first.ended)
        runs.client.set_terminated(parent)
        return parent

    def comparison_path(self) -> str | None:
        """Return where, below the address of MLflow's pages, the latest ablation's combinations are ranked."""
        return self._try(lambda runs: view_path(runs.experiment) if runs.has_view() else None)

    def _start_parent(
        self, kind: str, settings: Settings, tags: Mapping[str, str], *, fingerprint: str, unfinished: bool
    ) -> str | None:
        """Start a parent run with some tags, or go on in the latest of this kind, project, experiment, fingerprint."""

        def start(runs: Runs) -> str:
            known = {
                KIND: kind,
                "matbind.workspace": workspace_fingerprint(self._root),
                "matbind.fingerprint": fingerprint,
                "preset": settings.preset,
                **experiment_tag(),
            }
            same = runs.search(known, unfinished=unfinished)
            if same:
                return runs.reopen(same[0].info.run_id)
            name = f"{kind} {settings.preset} {_minute()}"
            name += f" ({known[DVC_EXPERIMENT]})" if DVC_EXPERIMENT in known else ""
            return runs.create(name, in_full(settings), {**known, **tags})

        return self._try(start)

    def _try_run(self, run_id: str | None, action: Callable[[Runs, str], T]) -> T | None:
        return None if run_id is None else self._try(lambda runs: action(runs, run_id))

    def _try(self, action: Callable[[Runs], T]) -> T | None:
        with self._lock:
            try:
                return None if self._runs is None else action(self._runs)
            except Exception as error:  # noqa: BLE001  # as in __init__: no fault of the store stops a training
                self._give_up(error)
                return None

    def _give_up(self, error: Exception) -> None:
        self._runs = None
        self._warn(
            f"MLflow cannot be used ({reason_of(error, self._root)}); nothing is lost: models and metrics are kept as "
            "files, and `matbind ui` adds the missing runs once the store works again"
        )


def in_full(settings: Settings) -> dict[str, Any]:
    """Return all settings as a model's settings.json has them."""
    return settings.model_dump(mode="json", by_alias=True)


def _restore(runs: Runs, parent: str, training: _Restorable) -> None:
    """Make the run of a training from its files, or add what an interrupted one lacks."""
    evaluation, model_dir = training.evaluation, training.model_dir
    record, history = model_dir / PROVENANCE, model_dir / HISTORY
    files = [file for file in (record, *sorted(model_dir.glob("*.png"))) if file.exists()]
    started = training.ended - float(evaluation.get("seconds") or 0)
    name, seed = evaluation["combination"], evaluation["seed"]
    unfinished = runs.search(_training_below(parent, name, seed), unfinished=True)
    if unfinished:  # its first curves were logged as it ran, the end is missing
        run_id = str(unfinished[0].info.run_id)
    else:
        combination = Combination(parse_combination(name).modalities, evaluation["hub"])
        settings = stored_settings(model_dir)
        tags = {
            KIND: "combination",
            **combination_tags(combination),
            SEED: str(seed),
            PARENT: parent,
            "preset": settings.get("preset", ""),
            "matbind.restored_from": str(evaluation.get("run_id")),
        }
        params, title = training_params(combination, seed), training_name(name, seed, training.seeds)
        run_id = runs.create(title, settings, tags, params=params, evaluation=evaluation, started=started)
    runs.complete_curves(run_id, read_json(history) if history.exists() else [], started=started)
    runs.finish(run_id, evaluation, files, ended=training.ended)


def _training_below(parent: str, combination: str, seed: int) -> dict[str, str]:
    """Return the tags of the run of a training below an ablation."""
    return {PARENT: parent, "combination": combination, SEED: str(seed)}


def _parent_of(runs: Runs, evaluations: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the latest ablation that has any of these results."""
    children = [run for evaluation in evaluations for run in runs.search({RESULT: result_digest(evaluation)})]
    parents = {run.data.tags[PARENT] for run in children if PARENT in run.data.tags}
    return max(parents, key=lambda parent: int(runs.client.get_run(parent).info.start_time), default=None)


def _minute(seconds: float | None = None) -> str:
    """Write a time for people, by their own clock; now by default."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
