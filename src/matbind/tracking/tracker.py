"""Runs in MLflow: one parent an ablation, one child a combination.

Tracking is a record and never a condition: a store that cannot be used costs one warning, the training goes on, and
what is missing is added later from the files by `Tracker.backfill`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from matbind.base.files import read_json
from matbind.base.model_files import HISTORY, SETTINGS
from matbind.base.provenance import PROVENANCE, read_origin, workspace_mark
from matbind.modalities.combinations import Combination, parse_combination
from matbind.settings.params import Settings
from matbind.tracking.record import (
    combination_params,
    combination_tags,
    curve_point,
    lock_tags,
    result_digest,
    stored_settings,
)
from matbind.tracking.runs import DVC_EXPERIMENT, PARENT, RESULT, Runs, experiment_tag
from matbind.tracking.store import EXPERIMENT, reason_of, tracking_uri

__all__ = ["EXPERIMENT", "PARENT", "Tracker", "tracking_uri"]

T = TypeVar("T")


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

    @property
    def is_open(self) -> bool:
        """Whether runs are being recorded."""
        return self._runs is not None

    def start_ablation(self, settings: Settings, *, fingerprint: str, is_done: bool) -> str | None:
        """The parent run of an ablation: that of an interrupted one with the same fingerprint, or a new one.

        A DVC experiment has a parent of its own, which bears its name.

        Args:
            settings: logged as parameters.
            fingerprint: digest of all that the results depend on; only a run that would give the same goes on.
            is_done: whether nothing is left to train; then the run of a finished ablation will do as well.
        """

        def start(runs: Runs) -> str:
            tags = {
                "matbind.kind": "ablation",
                "matbind.workspace": workspace_mark(self._root),
                "matbind.fingerprint": fingerprint,
                "preset": settings.preset,
                **experiment_tag(),
            }
            same = runs.search(tags, unfinished=not is_done)
            if same:
                return runs.reopen(same[0].info.run_id)
            name = f"ablation {settings.preset} {datetime.now():%Y-%m-%d %H:%M}"  # noqa: DTZ005  # the user's own clock
            name += f" ({tags[DVC_EXPERIMENT]})" if DVC_EXPERIMENT in tags else ""
            return runs.create(name, settings.flat(), tags)

        return self._try(start)

    def start_combination(self, parent: str | None, settings: Settings, combination: Combination) -> str | None:
        """The run of one combination, below the parent if there is one; an interrupted one goes on."""

        def start(runs: Runs) -> str:
            tags = {"matbind.kind": "combination", **combination_tags(combination), "preset": settings.preset}
            if parent is None:
                return runs.create(combination.name, combination_params(combination) | settings.flat(), tags)
            tags[PARENT] = parent
            unfinished = runs.search({PARENT: parent, "combination": combination.name}, unfinished=True)
            if unfinished:
                return runs.reopen(unfinished[0].info.run_id)
            return runs.create(combination.name, combination_params(combination) | settings.flat(), tags)

        return self._try(start)

    def log_epoch(self, run_id: str | None, figures: Mapping[str, float]) -> None:
        """Add one epoch's figures to a run's curves."""
        self._try_run(run_id, lambda runs, run: runs.log(run, curve_point(figures), step=int(figures["epoch"])))

    def watch(self, run_id: str | None, pid: int | None = None) -> Callable[[], None]:
        """Add to a run what it takes of the machine, every ten seconds until the returned function is called.

        Args:
            run_id: of an ablation or a combination.
            pid: of the training to measure; by default the whole machine is measured, by MLflow's own monitor.
        """

        def sampled(figures: Mapping[str, float], step: int) -> None:
            self._try_run(run_id, lambda runs, run: runs.log(run, figures, step=step))

        def start(_: Runs, run: str) -> Callable[[], None]:
            if pid is not None:
                from matbind.tracking.resources import ProcessMonitor

                return ProcessMonitor(pid, log=sampled).stop
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            kind: Any = SystemMetricsMonitor
            monitor = kind(run, resume_logging=True, tracking_uri=tracking_uri(self._root))
            monitor.start()
            stop: Callable[[], None] = monitor.finish
            return stop

        return self._try_run(run_id, start) or _nothing

    def complete_curves(self, run_id: str | None, history: Iterable[Mapping[str, float]]) -> None:
        """Add the epochs that a run has not: those of a training that was interrupted, or only evaluated anew."""
        self._try_run(run_id, lambda runs, run: runs.complete_curves(run, history))

    def finish_combination(self, run_id: str | None, found: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Record what a combination reached, with a figure and a table of its pairs, and end its run.

        Args:
            run_id: of the combination.
            found: content of its metrics file.
            files: kept as artifacts: metrics, figures, resolved settings, provenance.
        """
        now = datetime.now().timestamp()  # noqa: DTZ005
        self._try_run(run_id, lambda runs, run: runs.finish(run, found, files, ended=now))

    def fail(self, run_id: str | None, reason: str) -> None:
        """End a run that did not reach its end."""

        def end(runs: Runs, run: str) -> None:
            runs.client.set_tag(run, "error", reason[:5000])
            runs.client.set_terminated(run, "FAILED")

        self._try_run(run_id, end)

    def finish_ablation(self, run_id: str | None, *, failed: bool = False) -> None:
        """End a parent run; the table of its combinations becomes its description."""

        def end(runs: Runs, run: str) -> None:
            runs.describe(run)
            runs.client.set_terminated(run, "FAILED" if failed else "FINISHED")

        self._try_run(run_id, end)

    def log_comparison(self, found: Iterable[Mapping[str, Any]], files: Iterable[Path]) -> None:
        """Keep the comparison's files with the ablation whose combinations were compared, and what DVC locked of it."""

        def log(runs: Runs) -> None:
            parent = _parent_of(runs, found)
            if parent is None:
                return
            for path in files:
                runs.client.log_artifact(parent, str(path), "comparison")
            runs.lock(parent)

        self._try(log)

    def log_validation(self, settings: Settings, document: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Keep a validation as a run of its own: counts of each modality as metrics, the report and the quarantine.

        Args:
            settings: logged as parameters.
            document: content of `validation.json`.
            files: kept as artifacts.
        """

        def log(runs: Runs) -> None:
            tags = {"matbind.kind": "validation", "passed": str(document["passed"]).lower(), "preset": settings.preset}
            run = runs.create(f"validation {datetime.now():%Y-%m-%d %H:%M}", settings.flat(), tags)  # noqa: DTZ005
            for name, found in document["modalities"].items():
                runs.log(run, {f"{name}.{key}": float(found[key]) for key in ("values", "quarantined", "share")})
            for path in files:
                runs.client.log_artifact(run, str(path), "validation")
            runs.client.set_terminated(run)

        self._try(log)

    def run_of(self, found: Mapping[str, Any], *, parent: str | None) -> str | None:
        """The run below a parent that holds the content of a metrics file."""

        def search(runs: Runs, above: str) -> str | None:
            same = runs.search({PARENT: above, RESULT: result_digest(found)})
            return str(same[0].info.run_id) if same else None

        return self._try_run(parent, search)

    def backfill(self, models: Path, metrics: Path, *, parent: str | None = None) -> int:
        """Create the runs that files tell of and the store does not hold: after `dvc pull`, or after the store failed.

        Args:
            models: directory of the models, with their settings and history.
            metrics: directory of the metrics files.
            parent: the ablation the runs have to be below; by default any will do.

        Returns:
            How many runs of combinations were added; a second call adds none.
        """
        return self._try(lambda runs: self._backfill(runs, models, metrics, parent)) or 0

    def _backfill(self, runs: Runs, models: Path, metrics: Path, parent: str | None) -> int:
        finished = [(path, found) for path in sorted(metrics.glob("*.json")) if "pairs" in (found := read_json(path))]
        below = {} if parent is None else {PARENT: parent}
        missing = [each for each in finished if not runs.search({RESULT: result_digest(each[1]), **below})]
        if not missing:
            return 0
        own = parent or _parent_of(runs, (found for _, found in finished))
        if own is None:
            settings = stored_settings(models / missing[0][1]["combination"])
            preset = settings.get("preset", "")
            name = f"ablation {preset} {datetime.fromtimestamp(_modified(missing[0][0])):%Y-%m-%d %H:%M} (restored)"  # noqa: DTZ006
            tags = {"matbind.kind": "ablation", "matbind.workspace": workspace_mark(self._root), "preset": preset}
            own = runs.create(name, settings, tags, found=missing[0][1], started=_modified(missing[0][0]))
            runs.client.set_terminated(own)
        for path, found in missing:
            _restore(runs, own, path, found, models / found["combination"])
        runs.describe(own)
        return len(missing)

    def comparison_path(self) -> str | None:
        """Where, below the address of MLflow's pages, the latest ablation's combinations stand beside each other."""

        def find(runs: Runs) -> str | None:
            for parent in runs.search({"matbind.kind": "ablation"}):
                children = runs.search({PARENT: parent.info.run_id, "matbind.kind": "combination"})
                if len(children) > 1:
                    ids = json.dumps([child.info.run_id for child in reversed(children)])
                    return f"/#/compare-runs?runs={quote(ids)}&experiments={quote(json.dumps([runs.experiment]))}"
            return None

        return self._try(find)

    def _try_run(self, run_id: str | None, action: Callable[[Runs, str], T]) -> T | None:
        return None if run_id is None else self._try(lambda runs: action(runs, run_id))

    def _try(self, action: Callable[[Runs], T]) -> T | None:
        with self._lock:
            if self._runs is None:
                return None
            try:
                return action(self._runs)
            except Exception as error:  # noqa: BLE001  # see above
                self._give_up(error)
                return None

    def _give_up(self, error: Exception) -> None:
        self._runs = None
        self._warn(
            f"MLflow cannot be used ({reason_of(error, self._root)}); nothing is lost: models and metrics are kept as "
            "files, and `matbind ui` adds the missing runs once the store works again"
        )


def _restore(runs: Runs, parent: str, path: Path, found: Mapping[str, Any], home: Path) -> None:
    record = home / PROVENANCE
    files = [each for each in (path, home / SETTINGS, record, *sorted(home.glob("*.png"))) if each.exists()]
    unfinished = runs.search({PARENT: parent, "combination": found["combination"]}, unfinished=True)
    history = home / HISTORY
    curves = read_json(history) if history.exists() else []
    started = _modified(path) - float(found.get("seconds") or 0)
    if unfinished:  # its first curves were logged as it ran, the end is missing
        run_id = str(unfinished[0].info.run_id)
    else:
        combination = Combination(parse_combination(found["combination"]).modalities, found["hub"])
        settings = stored_settings(home)
        tags = {
            "matbind.kind": "combination",
            **combination_tags(combination),
            PARENT: parent,
            "preset": settings.get("preset", ""),
            "matbind.restored_from": str(found.get("run_id")),
            **lock_tags(read_json(record)["stages"] if record.exists() else {}),
        }
        run_id = runs.create(
            combination.name, combination_params(combination) | settings, tags, found=found, started=started
        )
    runs.complete_curves(run_id, curves, started=started)
    runs.finish(run_id, found, files, ended=_modified(path))


def _parent_of(runs: Runs, found: Iterable[Mapping[str, Any]]) -> str | None:
    """The latest ablation that holds any of these results."""
    held = [run for each in found for run in runs.search({RESULT: result_digest(each)})]
    parents = {run.data.tags[PARENT] for run in held if PARENT in run.data.tags}
    return max(parents, key=lambda parent: int(runs.client.get_run(parent).info.start_time), default=None)


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _nothing() -> None:
    """Stand in for the end of a measurement that never began."""
