from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import LEARNING_CURVES, METRICS, MODELS, read_json, write_json
from matbind.base.model_files import HISTORY
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.tracking.store import connect
from matbind.tracking.tracker import Tracker
from matbind.training.ablation import Ablation, longest_first, recorded, write_learning_curves


@pytest.fixture(scope="module")
def settings(project_root: Path) -> Settings:
    return settings_module.load(project_root / "params.yaml", preset="smoke")


def _with_combinations(settings: Settings, names: list[str] | None) -> Settings:
    return settings.model_copy(update={"ablate": settings.ablate.model_copy(update={"combinations": names})})


def test_all_fifteen_are_trained_the_longest_first(settings: Settings) -> None:
    names = [combination.name for combination in longest_first(_with_combinations(settings, None))]

    assert len(set(names)) == 15
    assert names[0] == "crystal+dos+pxrd+text"
    assert {name.count("+") for name in names[1:5]} == {2}


def test_only_those_asked_for_are_trained_each_once(settings: Settings) -> None:
    asked = _with_combinations(settings, ["text", "dos+crystal+text", "text"])

    assert [combination.name for combination in longest_first(asked)] == ["crystal+dos+text", "text"]


def test_missing_features_are_named(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UserError, match="no finished feature store is here, run the featurize stage first"):
        Ablation(settings, draw_curves=pytest.fail, log=pytest.fail)


def test_a_training_that_fails_ends_its_run_with_the_reason(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(warn=pytest.fail)

    with pytest.raises(RuntimeError), recorded(tracker, None, settings, parse_combination("dos")) as run_id:
        raise RuntimeError("out of memory")

    run = connect()[0].get_run(str(run_id))
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "out of memory")


def test_a_training_that_ends_leaves_its_run_and_origin_beside_the_metrics(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(warn=pytest.fail)

    with recorded(tracker, None, settings, parse_combination("dos")) as run_id:
        write_json(MODELS / "dos" / HISTORY, [])
        empty: dict[str, object] = {kind: {} for kind in ("pairs", "fused", "control", "unmeasured")}
        write_json(METRICS / "dos.json", {"combination": "dos", "hub": "dos", "run_id": None, **empty})

    metrics = read_json(METRICS / "dos.json")
    assert (metrics["run_id"], metrics["data_md5"]) == (run_id, tracker.origin.data_md5)
    assert connect()[0].get_run(str(run_id)).info.status == "FINISHED"


def test_learning_curves_are_one_table_of_all_combinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    unvalidated = {"epoch": 1.0, "loss": 2.5, "loss.dos": 2.5, "seconds": 3.0}
    write_json(
        MODELS / "crystal+dos" / HISTORY, [unvalidated, {"epoch": 2.0, "loss": 1.5, "validation_recall_at_1": 0.25}]
    )
    write_json(MODELS / "text" / HISTORY, [{"epoch": 1.0, "loss": 0.5}])

    write_learning_curves(["crystal+dos", "text"])

    assert LEARNING_CURVES.read_text().splitlines() == [
        "combination,epoch,loss,validation_recall_at_1",
        "crystal+dos,1.0,2.5,",
        "crystal+dos,2.0,1.5,0.25",
        "text,1.0,0.5,",
    ]
