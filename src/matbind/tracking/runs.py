"""The runs of one experiment in MLflow: made, searched, written to and ended. What fails here is raised."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matbind.base.files import METRICS
from matbind.base.model_files import SETTINGS
from matbind.base.provenance import (
    LOCK_FILE,
    TRAINED_BY,
    dvc_md5,
    experiment_name,
    is_gone,
    process_fingerprint,
    read_origin,
    stage_locks,
)
from matbind.modalities.combinations import Combination, parse_combination
from matbind.modalities.table import modality_names
from matbind.tracking import pages
from matbind.tracking.datasets import CONTEXT, split_datasets
from matbind.tracking.figures import pair_heatmap
from matbind.tracking.record import (
    LOSS,
    SEED,
    compared_settings,
    curve_point,
    describe_ablation,
    describe_combination,
    flatten_metrics,
    pair_rows,
    parted,
    result_digest,
)
from matbind.tracking.store import connect

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
KIND = "matbind.kind"  # ablation, combination, tuning, trial or validation
RESULT = "matbind.result"  # digest of the metrics a run ended with: how a run is found again from files alone
PROCESS = "matbind.process"
NOT_FINITE = "not_finite"  # names of the figures that were NaN or infinite
DVC_EXPERIMENT = "dvc_exp_name"
PARAMS_PER_CALL = 100  # MLflow takes no more
LONGEST_PARAM, LONGEST_TAG = 6000, 5000
NEVER_TESTED = {"tuning", "trial"}  # kinds of runs that do not look at the test split


class Runs:
    """Reads and writes the runs of a project. Not safe for several threads."""

    def __init__(self, root: Path) -> None:
        self.client, self.experiment = connect(root)
        self.origin = read_origin(root)
        self._root = root

    def create(
        self,
        name: str,
        settings: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        started: float | None = None,
    ) -> str:
        """Make a run and log its settings, its origin and its data.

        Args:
            name: for people.
            settings: all of them as in settings.json, which is kept; those that one compares are parameters too.
            tags: besides those that tell where it comes from.
            params: other parameters.
            evaluation: content of the metrics file a run is made anew from; its origin is taken from there.
            started: seconds since 1970; now by default.
        """
        from mlflow.entities import Param

        here = {"data_md5": self.origin.data_md5, "git_commit": self.origin.code}
        origin = here if evaluation is None else evaluation
        commit = origin.get("git_commit") or "unknown"
        origin_tags = {
            "data_md5": origin.get("data_md5") or "unknown",
            "git_commit": commit.removesuffix("-dirty"),
            "git_dirty": str(commit.endswith("-dirty")).lower(),
            "mlflow.source.git.commit": commit.removesuffix("-dirty"),
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": os.environ.get("DVC_STAGE") or Path(sys.argv[0]).name or "matbind",
            "mlflow.user": _user(),
            PROCESS: process_fingerprint(),
            **experiment_tag(),
        }
        at = None if started is None else int(started * 1000)
        run = self.client.create_run(self.experiment, start_time=at, tags=origin_tags | dict(tags), run_name=name)
        run_id = str(run.info.run_id)
        names = tags["combination"].split("+") if "combination" in tags else modality_names()
        compared = {**(params or {}), **compared_settings(settings, tags[KIND], names)}
        logged = [Param(key, value[:LONGEST_PARAM]) for key, value in compared.items()]
        for start in range(0, len(logged), PARAMS_PER_CALL):
            self.client.log_batch(run_id, params=logged[start : start + PARAMS_PER_CALL])
        if settings:
            self.client.log_dict(run_id, dict(settings), SETTINGS)
        if origin.get("data_md5") == self.origin.data_md5:  # else the records that are here are not those it used
            self._log_data(run_id, tags[KIND])
        return run_id

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Set a tag, cut to the length that MLflow takes."""
        self.client.set_tag(run_id, name, value[:LONGEST_TAG])

    def keep(self, run_id: str, files: Iterable[Path], directory: str | None = None) -> None:
        """Keep files among the artifacts of a run."""
        for path in files:
            self.client.log_artifact(run_id, str(path), directory)

    def reopen(self, run_id: str) -> str:
        """Let a run that ended go on in this process."""
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, PROCESS, process_fingerprint())
        return run_id

    def search(self, tags: Mapping[str, str], *, unfinished: bool = False) -> list[Any]:
        """Return the runs with some tags, the latest first."""
        terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
        terms += ["attributes.status != 'FINISHED'"] if unfinished else []
        order = ["attributes.start_time DESC"]
        return list(self.client.search_runs([self.experiment], " and ".join(terms), order_by=order))

    def log(self, run_id: str, figures: Mapping[str, float], *, step: int = 0, moment: float | None = None) -> None:
        """Log figures of a step and a moment (seconds since 1970, now by default).

        Those that are NaN or infinite are named in a tag, for no chart can show them.
        """
        from mlflow.entities import Metric

        at = int((time.time() if moment is None else moment) * 1000)
        numbers, others = parted(figures)
        self.client.log_batch(run_id, metrics=[Metric(key, value, at, step) for key, value in numbers.items()])
        if others:
            before = self.client.get_run(run_id).data.tags.get(NOT_FINITE, "").split()
            self.tag(run_id, NOT_FINITE, " ".join(sorted({*before, *others})))

    def complete_curves(
        self, run_id: str, history: Iterable[Mapping[str, float]], *, started: float | None = None
    ) -> None:
        """Add the epochs that a run has not."""
        logged = {point.step for point in self.client.get_metric_history(run_id, LOSS)}
        for figures in history:
            step = int(figures["epoch"])
            if step not in logged:
                moment = None if started is None else started + figures.get("seconds", 0.0)
                self.log(run_id, curve_point(figures), step=step, moment=moment)

    def finish(self, run_id: str, evaluation: Mapping[str, Any], files: Iterable[Path], *, ended: float) -> None:
        """Log what a training reached, with files and figures, and end its run."""
        import PIL.Image
        from mlflow.entities import Param

        self.log(run_id, flatten_metrics(evaluation), moment=ended)
        if counts := evaluation.get("n_parameters"):
            self.client.log_batch(run_id, params=[Param("n_parameters", str(sum(counts.values())))])
        with TemporaryDirectory() as directory:
            heatmap = pair_heatmap(evaluation, Path(directory) / "recall_at_1.png")
            for path in (*files, heatmap):
                self.client.log_artifact(run_id, str(path))
                if path.suffix == ".png":  # among the charts too, whose page shows those of several runs side by side
                    with PIL.Image.open(path) as image:
                        self.client.log_image(run_id, image, key=path.stem, step=0)
        self.client.log_dict(run_id, dict(evaluation), f"{evaluation['combination']}.json")
        self.client.set_tag(run_id, NOTE, describe_combination(evaluation))
        self.client.set_tag(run_id, RESULT, result_digest(evaluation))
        self.client.set_terminated(run_id, "FINISHED", int(ended * 1000))

    def describe(self, parent: str) -> None:
        """Write what the combinations of an ablation reached, and make it what the pages of its experiment show."""
        children = self.search({PARENT: parent, KIND: "combination"})
        self.client.set_tag(parent, NOTE, describe_ablation({run.info.run_name: run.data.metrics for run in children}))
        self._log_pairs(parent, children)
        note = pages.describe_experiment(self.experiment, parent, self.client.get_run(parent).info.run_name)
        for tag, value in {NOTE: note, pages.VIEW_TAG: pages.view_of(parent)}.items():
            self.client.set_experiment_tag(self.experiment, tag, value)

    def has_view(self) -> bool:
        """Return whether the experiment has the view of its latest ablation."""
        return pages.VIEW_TAG in self.client.get_experiment(self.experiment).tags

    def lock(self, parent: str) -> None:
        """Keep what DVC locked of an ablation with its run, provided that the metrics are still those it locked."""
        lock = stage_locks(self._root).get(TRAINED_BY)
        if lock is not None and lock["outs"].get(str(METRICS)) == dvc_md5(self._root / METRICS):
            self.client.log_artifact(parent, str(self._root / LOCK_FILE))

    def close_abandoned(self) -> None:
        """End the runs that a killed process of this machine left running; those of other machines are not touched."""
        for run in self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'"):
            if is_gone(run.data.tags.get(PROCESS, "")):
                self.client.set_tag(run.info.run_id, "error", "its process ended before the run did")
                self.client.set_terminated(run.info.run_id, "FAILED")

    def _log_pairs(self, parent: str, children: Iterable[Any]) -> None:
        """Keep one table of every pair of an ablation's combinations with its run."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for run in children:
            tags = run.data.tags
            combination = Combination(parse_combination(tags["combination"]).modalities, tags["hub"])
            rows += pair_rows(combination, tags.get(SEED, "0"), run.data.metrics)
        rows.sort(key=lambda row: (row["combination"].count("+"), row["combination"], int(row["seed"])))
        table = pd.DataFrame(rows)
        if any(artifact.path == pages.PAIRS for artifact in self.client.list_artifacts(parent)):
            # A second `log_table` would append.
            self.client.log_text(parent, table.to_json(orient="split", index=False), pages.PAIRS)
        else:
            self.client.log_table(parent, table, pages.PAIRS)

    @cached_property
    def _datasets(self) -> dict[str, Any]:
        return split_datasets(self._root)

    def _log_data(self, run_id: str, kind: str) -> None:
        """Name the data of each split that a run looks at."""
        from mlflow.entities import DatasetInput, InputTag

        inputs = [
            DatasetInput(dataset, [InputTag(CONTEXT, context)])
            for context, dataset in self._datasets.items()
            if context != "test" or kind not in NEVER_TESTED
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)


def experiment_tag() -> dict[str, str]:
    """Return the name of the DVC experiment a run belongs to, as a tag; none where it belongs to none."""
    name = experiment_name()
    return {DVC_EXPERIMENT: name} if name else {}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown"
