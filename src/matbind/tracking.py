"""Runs in MLflow: one parent an ablation, one child a combination. The only module that knows MLflow.

Tracking is a record and never a condition: a store that cannot be used costs one warning, the training goes on, and
what is missing is added later from the files by `Tracker.backfill`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from matbind.files import read_json
from matbind.modality import Combination, parse_combination
from matbind.provenance import is_gone, process_mark, read_origin, workspace_mark
from matbind.run_record import (
    combination_tags,
    curve_point,
    flatten_metrics,
    result_digest,
    stored_settings,
)
from matbind.settings import Settings

EXPERIMENT = "matbind"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
PARENT = "mlflow.parentRunId"
RESULT = "matbind.result"  # digest of the metrics a run ended with: how a run is found again from files alone
PROCESS = "matbind.process"
BATCH = 100  # MLflow takes no more parameters in one call
REASON_CHARACTERS = 200

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
        self._client: Any = None
        self._experiment = ""
        try:
            self._client, self._experiment = _connect(root)
            self._close_abandoned()
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the store, the training is not to suffer
            self._give_up(error)

    @property
    def is_open(self) -> bool:
        """Whether runs are being recorded."""
        return self._client is not None

    def start_ablation(self, settings: Settings, *, mark: str, is_done: bool) -> str | None:
        """The parent run of an ablation: that of an interrupted one with the same mark, or a new one.

        Args:
            settings: logged as parameters.
            mark: digest of all that the results depend on; only a run that would give the same results is continued.
            is_done: whether nothing is left to train; then the run of a finished ablation will do as well.
        """

        def start() -> str:
            tags = {
                "matbind.kind": "ablation",
                "matbind.workspace": workspace_mark(self._root),
                "matbind.mark": mark,
                "preset": settings.preset,
            }
            same = self._search(tags, unfinished=not is_done)
            if same:
                return self._reopen(same[0].info.run_id)
            name = f"ablation {settings.preset} {datetime.now():%Y-%m-%d %H:%M}"  # noqa: DTZ005  # the user's own clock
            return self._create(name, settings.flat(), tags)

        return self._try(start)

    def start_combination(self, parent: str | None, settings: Settings, combination: Combination) -> str | None:
        """The run of one combination, below the parent if there is one; an interrupted one goes on."""

        def start() -> str:
            tags = {"matbind.kind": "combination", **combination_tags(combination), "preset": settings.preset}
            if parent is None:
                return self._create(combination.name, settings.flat(), tags)
            tags[PARENT] = parent
            unfinished = self._search({PARENT: parent, "combination": combination.name}, unfinished=True)
            if unfinished:
                return self._reopen(unfinished[0].info.run_id)
            return self._create(combination.name, settings.flat(), tags)

        return self._try(start)

    def log_epoch(self, run_id: str | None, figures: Mapping[str, float]) -> None:
        """Add one epoch's figures to a run's curves."""
        self._try(lambda: self._log(run_id, curve_point(figures), step=int(figures["epoch"])), run_id)

    def complete_curves(self, run_id: str | None, history: Iterable[Mapping[str, float]]) -> None:
        """Add the epochs that a run has not: those of a training that was interrupted, or only evaluated anew."""
        self._try(lambda: self._complete_curves(run_id, history), run_id)

    def finish_combination(self, run_id: str | None, found: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Record what a combination reached and end its run.

        Args:
            run_id: of the combination.
            found: content of its metrics file.
            files: kept as artifacts: metrics, figures, resolved settings.
        """
        self._try(lambda: self._finish(run_id, found, files, ended=datetime.now().timestamp()), run_id)  # noqa: DTZ005

    def fail(self, run_id: str | None, reason: str) -> None:
        """End a run that did not reach its end."""

        def end() -> None:
            self._client.set_tag(run_id, "error", reason[:5000])
            self._client.set_terminated(run_id, "FAILED")

        self._try(end, run_id)

    def finish_ablation(self, run_id: str | None, *, failed: bool = False) -> None:
        """End a parent run."""
        self._try(lambda: self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED"), run_id)

    def log_comparison(self, found: Iterable[Mapping[str, Any]], files: Iterable[Path]) -> None:
        """Keep the comparison's files with the ablation whose combinations were compared."""

        def log() -> None:
            parent = self._parent_of(found)
            for path in files:
                if parent is not None:
                    self._client.log_artifact(parent, str(path), "comparison")

        self._try(log)

    def run_of(self, found: Mapping[str, Any], *, parent: str | None) -> str | None:
        """The run below a parent that holds the content of a metrics file."""

        def search() -> str | None:
            runs = self._search({PARENT: str(parent), RESULT: result_digest(found)})
            return str(runs[0].info.run_id) if runs else None

        return self._try(search, parent)

    def backfill(self, models: Path, metrics: Path, *, parent: str | None = None) -> int:
        """Create the runs that files tell of and the store does not hold: after `dvc pull`, or after the store failed.

        Args:
            models: directory of the models, with their settings and history.
            metrics: directory of the metrics files.
            parent: the ablation the runs have to be below; by default any will do.

        Returns:
            How many runs of combinations were added; a second call adds none.
        """
        return self._try(lambda: self._backfill(models, metrics, parent)) or 0

    def _backfill(self, models: Path, metrics: Path, parent: str | None) -> int:
        finished = [(path, found) for path in sorted(metrics.glob("*.json")) if "pairs" in (found := read_json(path))]
        below = {} if parent is None else {PARENT: parent}
        missing = [each for each in finished if not self._search({RESULT: result_digest(each[1]), **below})]
        if not missing:
            return 0
        own = parent or self._parent_of(found for _, found in finished)
        if own is None:
            settings = stored_settings(models / missing[0][1]["combination"])
            preset = settings.get("preset", "")
            name = f"ablation {preset} {datetime.fromtimestamp(_modified(missing[0][0])):%Y-%m-%d %H:%M} (restored)"  # noqa: DTZ006
            tags = {"matbind.kind": "ablation", "matbind.workspace": workspace_mark(self._root), "preset": preset}
            own = self._create(name, settings, tags, found=missing[0][1], started=_modified(missing[0][0]))
            self._client.set_terminated(own)
        for path, found in missing:
            self._restore(own, path, found, models / found["combination"])
        return len(missing)

    def _restore(self, parent: str, path: Path, found: Mapping[str, Any], home: Path) -> None:
        files = [file for file in (path, home / "settings.json", *sorted(home.glob("*.png"))) if file.exists()]
        unfinished = self._search({PARENT: parent, "combination": found["combination"]}, unfinished=True)
        if unfinished:  # its curves were logged as it ran, only the end is missing
            self._finish(unfinished[0].info.run_id, found, files, ended=_modified(path))
            return
        modalities, settings = parse_combination(found["combination"]).modalities, stored_settings(home)
        tags = {
            "matbind.kind": "combination",
            **combination_tags(Combination(modalities, found["hub"])),
            PARENT: parent,
            "preset": settings.get("preset", ""),
            "matbind.restored_from": str(found.get("run_id")),
        }
        started = _modified(path) - float(found.get("seconds") or 0)
        run_id = self._create(found["combination"], settings, tags, found=found, started=started)
        history = home / "history.json"
        self._complete_curves(run_id, read_json(history) if history.exists() else [], started=started)
        self._finish(run_id, found, files, ended=_modified(path))

    def _parent_of(self, found: Iterable[Mapping[str, Any]]) -> str | None:
        """The latest ablation that holds any of these results."""
        runs = [run for each in found for run in self._search({RESULT: result_digest(each)})]
        parents = {run.data.tags[PARENT] for run in runs if PARENT in run.data.tags}
        return max(parents, key=lambda parent: int(self._client.get_run(parent).info.start_time), default=None)

    def _create(
        self,
        name: str,
        settings: Mapping[str, str],
        tags: Mapping[str, str],
        *,
        found: Mapping[str, Any] | None = None,
        started: float | None = None,
    ) -> str:
        from mlflow.entities import Param

        own = {"data_md5": self.origin.data_md5, "git_commit": self.origin.code} if found is None else found
        commit = own.get("git_commit") or "unknown"
        origin = {
            "data_md5": own.get("data_md5") or "unknown",
            "git_commit": commit.removesuffix("-dirty"),
            "git_dirty": str(commit.endswith("-dirty")).lower(),
            "mlflow.source.git.commit": commit.removesuffix("-dirty"),
            PROCESS: process_mark(),
        }
        start_time = None if started is None else int(started * 1000)
        run = self._client.create_run(self._experiment, start_time=start_time, tags=origin | dict(tags), run_name=name)
        params = [Param(key, value[:6000]) for key, value in settings.items()]
        for start in range(0, len(params), BATCH):
            self._client.log_batch(run.info.run_id, params=params[start : start + BATCH])
        return str(run.info.run_id)

    def _reopen(self, run_id: str) -> str:
        self._client.update_run(run_id, status="RUNNING")
        self._client.set_tag(run_id, PROCESS, process_mark())
        return run_id

    def _log(
        self, run_id: str | None, figures: Mapping[str, float], *, step: int = 0, moment: float | None = None
    ) -> None:
        from mlflow.entities import Metric

        at = int((datetime.now().timestamp() if moment is None else moment) * 1000)  # noqa: DTZ005
        self._client.log_batch(run_id, metrics=[Metric(key, value, at, step) for key, value in figures.items()])

    def _complete_curves(
        self, run_id: str | None, history: Iterable[Mapping[str, float]], *, started: float | None = None
    ) -> None:
        known = {point.step for point in self._client.get_metric_history(run_id, "loss")}
        for figures in history:
            step = int(figures["epoch"])
            if step not in known:
                moment = None if started is None else started + figures.get("seconds", 0.0)
                self._log(run_id, curve_point(figures), step=step, moment=moment)

    def _finish(self, run_id: str | None, found: Mapping[str, Any], files: Iterable[Path], *, ended: float) -> None:
        self._log(run_id, flatten_metrics(found), moment=ended)
        for path in files:
            self._client.log_artifact(run_id, str(path))
        self._client.set_tag(run_id, RESULT, result_digest(found))
        self._client.set_terminated(run_id, "FINISHED", int(ended * 1000))

    def _search(self, tags: Mapping[str, str], *, unfinished: bool = False) -> list[Any]:
        """Runs by their tags, the latest first."""
        terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
        terms += ["attributes.status != 'FINISHED'"] if unfinished else []
        found = self._client.search_runs(
            [self._experiment], " and ".join(terms), order_by=["attributes.start_time DESC"]
        )
        return list(found)

    def _close_abandoned(self) -> None:
        """End the runs that a killed process of this machine left running."""
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'"):
            if is_gone(run.data.tags.get(PROCESS, "")):
                self._client.set_terminated(run.info.run_id, "FAILED")

    def _try(self, action: Callable[[], T], run_id: str | None = "") -> T | None:
        with self._lock:
            if self._client is None or run_id is None:
                return None
            try:
                return action()
            except Exception as error:  # noqa: BLE001  # the training is worth more than its record
                self._give_up(error)
                return None

    def _give_up(self, error: Exception) -> None:
        self._client = None
        reason = next(iter(str(error).splitlines()), "")[:REASON_CHARACTERS] or type(error).__name__
        self._warn(
            f"MLflow cannot be used ({reason}); nothing is lost: models and metrics are kept as files, and "
            "`matbind ui` adds the missing runs once the store works again"
        )


def tracking_uri(root: Path = Path()) -> str:
    """The store: MLFLOW_TRACKING_URI where it is set, else the SQLite file of the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / DATABASE).resolve()}"


def _connect(root: Path) -> tuple[Any, str]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A server that is away is noticed within seconds, not after minutes of growing pauses.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        own = None if os.environ.get("MLFLOW_TRACKING_URI") else (root / ARTIFACTS).resolve().as_uri()
        return client, client.create_experiment(EXPERIMENT, artifact_location=own)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return client, experiment.experiment_id


def _modified(path: Path) -> float:
    return path.stat().st_mtime
