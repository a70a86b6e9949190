from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from matbind.modalities.combinations import parse_combination
from matbind.tracking.runs import PARENT
from matbind.tracking.store import tracking_uri
from matbind.tracking.tuning import TuningTracker
from tests.factories import make_settings

COMBINATION = parse_combination("crystal+text")
HISTORY = [
    {"epoch": 1.0, "loss": 2.0, "validation_recall_at_1": 0.25, "seconds": 1.0},
    {"epoch": 2.0, "loss": float("nan"), "validation_recall_at_1": 0.5, "seconds": 2.0},
]


@pytest.fixture
def root(tmp_path, empty_store, monkeypatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("update experiments set artifact_location = ?", [(tmp_path / "mlartifacts").as_uri()])
    return tmp_path


@pytest.fixture
def tracker(root):
    return TuningTracker(warn=pytest.fail, root=root)


def _run(root, run_id):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(root)).get_run(run_id)


def _start(tracker, *, fingerprint="m1", number=3):
    parent = tracker.start_tuning(make_settings(), COMBINATION, fingerprint=fingerprint)
    return parent, tracker.start_trial(parent, number, make_settings(), COMBINATION)


def test_a_trial_is_below_its_tuning(tracker, root):
    parent, trial = _start(tracker)
    run = _run(root, trial)

    assert run.info.run_name == "trial 3"
    assert run.data.tags[PARENT] == parent
    assert run.data.tags["combination"] == "crystal+text"
    assert run.data.params["model.temperature"] == "0.07"
    assert _run(root, parent).info.run_name.startswith("tuning smoke ")


@pytest.mark.parametrize(("state", "status"), [("complete", "FINISHED"), ("pruned", "KILLED"), ("failed", "FAILED")])
def test_how_a_trial_ends(tracker, root, state, status):
    _, trial = _start(tracker)
    tracker.finish_trial(trial, state, history=HISTORY, figures={}, reason="it diverged")
    run = _run(root, trial)

    assert run.info.status == status
    assert (run.data.tags["matbind.state"], run.data.tags["error"]) == (state, "it diverged")


def test_curves_hold_every_epoch_and_no_nan(tracker, root):
    from mlflow import MlflowClient

    _, trial = _start(tracker)
    tracker.finish_trial(trial, "complete", history=HISTORY, figures={"best": 0.5, "other": float("nan")})
    client = MlflowClient(tracking_uri(root))
    recalls = client.get_metric_history(trial, "training/validation_recall_at_1")

    assert sorted((point.step, point.value) for point in recalls) == [(1, 0.25), (2, 0.5)]
    assert [point.value for point in client.get_metric_history(trial, "training/loss")] == [2.0]
    assert _run(root, trial).data.metrics["best"] == 0.5


def test_a_tuning_that_is_run_again_is_the_same_run(tracker):
    parent, trial = _start(tracker)
    tracker.finish_trial(trial, "pruned", history=HISTORY, figures={})
    tracker.finish_tuning(parent, {}, [])

    assert _start(tracker) == (parent, None)


def test_an_interrupted_trial_goes_on_in_its_run(tracker):
    assert _start(tracker) == _start(tracker)


def test_another_tuning_is_another_run(tracker):
    first, second = _start(tracker), _start(tracker, fingerprint="m2")

    assert not set(first) & set(second)


def test_the_tuning_keeps_its_figures_and_files(tracker, root, tmp_path):
    parent, _ = _start(tracker)
    (tmp_path / "tuned.yaml").write_text("preset: smoke\n")
    tracker.finish_tuning(parent, {"best_trial": 4}, [tmp_path / "tuned.yaml"], note="Trial 4 is better.")
    run = _run(root, parent)

    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"best_trial": 4.0}
    assert run.data.tags["mlflow.note.content"] == "Trial 4 is better."
    assert list((tmp_path / "mlartifacts").rglob("tuned.yaml"))


def test_without_a_store_nothing_is_recorded_and_one_warning_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://store")
    warnings = []
    tracker = TuningTracker(warn=warnings.append, root=tmp_path)
    parent, trial = _start(tracker)
    tracker.finish_trial(trial, "complete", history=HISTORY, figures={})
    tracker.finish_tuning(parent, {}, [])

    assert (parent, trial, len(warnings)) == (None, None, 1)
