from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import LEARNING_CURVES, read_json, write_json
from matbind.base.model_files import EVALUATION, HISTORY
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.tracking.store import connect
from matbind.tracking.tracker import Tracker
from matbind.training.ablation import Ablation, Training, in_order, recorded, write_learning_curves

DOS = Training(parse_combination("dos"), 0)


@pytest.fixture(scope="module")
def settings(project_root: Path) -> Settings:
    return settings_module.load(project_root / "params.yaml", preset="smoke")


def _asking(settings: Settings, **asked: object) -> Settings:
    return settings.model_copy(update={"ablate": settings.ablate.model_copy(update=asked)})


def test_all_fifteen_are_trained_the_longest_first(settings: Settings) -> None:
    names = list(in_order(_asking(settings, combinations=None)))

    assert len(names) == 15
    assert names[0] == "crystal+dos+pxrd+text"
    assert {name.count("+") for name in names[1:5]} == {2}


def test_only_those_asked_for_are_trained_each_once(settings: Settings) -> None:
    asked = _asking(settings, combinations=["text", "dos+crystal+text", "text"])

    assert list(in_order(asked)) == ["crystal+dos+text", "text"]


def test_all_combinations_of_the_first_seed_are_done_before_the_next(settings: Settings) -> None:
    asked = _asking(settings, combinations=["text", "crystal+dos+text"], seeds=(4, 2))

    expected = [f"{name} seed {seed}" for seed in (4, 2) for name in ("crystal+dos+text", "text")]
    assert list(in_order(asked)) == expected
    assert [training.seed for training in in_order(asked).values()] == [4, 4, 2, 2]


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

    with (
        pytest.raises(RuntimeError),
        recorded(tracker, None, settings, DOS) as run_id,
    ):
        raise RuntimeError("out of memory")

    run = connect()[0].get_run(str(run_id))
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "out of memory")


def test_a_training_that_ends_leaves_its_run_and_origin_in_the_evaluation(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(warn=pytest.fail)

    with recorded(tracker, None, settings, DOS) as run_id:
        write_json(DOS.directory / HISTORY, [])
        empty: dict[str, object] = {kind: {} for kind in ("pairs", "fused", "control", "unmeasured")}
        write_json(DOS.directory / EVALUATION, {"combination": "dos", "hub": "dos", "seed": 0, "run_id": None, **empty})

    metrics = read_json(DOS.directory / EVALUATION)
    assert (metrics["run_id"], metrics["data_md5"]) == (run_id, tracker.origin.data_md5)
    assert connect()[0].get_run(str(run_id)).info.status == "FINISHED"


def test_learning_curves_are_one_table_of_all_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainings = [Training(parse_combination("crystal+dos"), 0), Training(parse_combination("text"), 3)]
    unvalidated = {"epoch": 1.0, "loss": 2.5, "loss.dos": 2.5, "seconds": 3.0}
    write_json(
        trainings[0].directory / HISTORY, [unvalidated, {"epoch": 2.0, "loss": 1.5, "validation_recall_at_1": 0.25}]
    )
    write_json(trainings[1].directory / HISTORY, [{"epoch": 1.0, "loss": 0.5}])

    write_learning_curves(trainings)

    assert LEARNING_CURVES.read_text().splitlines() == [
        "combination,seed,epoch,loss,validation_recall_at_1",
        "crystal+dos,0,1.0,2.5,",
        "crystal+dos,0,2.0,1.5,0.25",
        "text,3,1.0,0.5,",
    ]
