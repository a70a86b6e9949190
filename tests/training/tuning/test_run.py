"""Most of these tests train nothing: a script plays the trainer, so that what the stage does can be seen alone."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
import pytest
import yaml

from matbind.base.errors import StageError, UserError
from matbind.base.files import read_json, write_json
from matbind.settings.load import load
from matbind.settings.params import Settings
from matbind.tracking.runs import PARENT
from matbind.tracking.store import tracking_uri
from matbind.training.trainer_process import TrainingError
from matbind.training.tuning.run import Tuning, switch_off
from matbind.training.tuning.space import apply_tuned, value_of
from matbind.training.tuning.trial import run_trial
from tests.factories import SMALL_RUN, needs_sample, raw_settings, real_features, silent
from tests.training.tuning.tuning import START, made_up_recall, make_tune

pytestmark = needs_sample
FOUR = {"trials": 4, "epochs": 2, "startup_trials": 2}
PATIENCE_SECONDS = 300


def make_project(root: Path, empty_store: Path) -> Path:
    """A directory with settings, features and an empty store."""
    (root / "artifacts").mkdir(parents=True)
    (root / "artifacts" / "features").symlink_to(real_features())
    (root / "params.yaml").write_text(yaml.safe_dump(raw_settings(SMALL_RUN)))
    shutil.copy(empty_store, root / "mlflow.db")
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("update experiments set artifact_location = ?", [(root / "mlartifacts").as_uri()])
    return root


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = make_project(tmp_path / "project", empty_store)
    monkeypatch.chdir(root)
    return root


class Script:
    """Plays the trainer: recalls by formula, epoch by epoch, and the files a trial leaves behind."""

    def __init__(self, *, delay_seconds: float = 0.0) -> None:
        self.trained: list[dict[str, Any]] = []
        self.tested = 0
        self.crashes: list[float] = []  # at these temperatures, once for each time one is in the list
        self.diverges_below = 0.0
        self._delay = delay_seconds

    def __call__(
        self, _: str, *, on_epoch: Callable[[dict[str, float]], None], program: tuple[str, ...], **__: Any
    ) -> None:
        directory, what = Path(program[-2]), program[-1]
        given = read_json(directory / "trial.json")
        values, digest = given["values"], given["fingerprint"]
        if what == "test":
            self.tested += 1
            write_json(directory / "test.json", {"fingerprint": digest, "pairs": {"a->b": 0.5, "b->a": 0.25}})
            return
        self.trained.append(values)
        recalls = [made_up_recall(values, epoch) for epoch in range(1, values["training.epochs"] + 1)]
        history = []
        for epoch, recall in enumerate(recalls, start=1):
            time.sleep(self._delay * random.random())  # noqa: S311
            history.append({"epoch": float(epoch), "loss": 1.0, "validation_recall_at_1": recall, "seconds": 1.0})
            on_epoch(history[-1])
            if values["model.temperature"] in self.crashes:
                self.crashes.remove(values["model.temperature"])
                raise TrainingError("its process was ended by signal 9")
        diverged = "the loss is nan" if values["model.temperature"] < self.diverges_below else None
        if diverged is None:
            n = 400
            hit = (np.arange(n) < max(recalls) * n).astype(float)
            np.savez(directory / "hits.npz", **{"a->b": hit, "b->a": hit})
            (directory / "model.safetensors").touch()
        write_json(directory / "trained.json", {"fingerprint": digest, "diverged": diverged, "history": history})


def _tune(train: Callable[..., None], *, workers: int = 1, **overrides: Any) -> dict[str, Any]:
    """Do what the flow does, without Prefect and reports."""
    settings = _settings(**{"trials": 8, "startup_trials": 3, **overrides})
    tuning = Tuning(settings, log=silent, train=train)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(tuning.trial, range(settings.tune.trials)))
    for number in tuning.to_evaluate():
        tuning.evaluate(number)
    result = tuning.result()
    tuning.finish(result, [])
    return result


def _settings(params: Path = Path("params.yaml"), **tune: Any) -> Settings:
    """Settings of a project with a space of their own."""
    return load(params, preset="smoke").model_copy(update={"tune": make_tune(**tune)})


def _runs(root: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name("matbind")
    return list(client.search_runs([experiment.experiment_id]))


def test_the_best_trial_becomes_the_tuned_settings(project: Path) -> None:
    result = _tune(Script())
    settings = load(project / "params.yaml")
    tuned = apply_tuned(settings, project / "tuned.yaml")

    assert result["trials"][0]["values"] == START
    assert result["chosen"] == result["best"] != 0
    assert {name: value_of(tuned, name) for name in START} == result["trials"][result["best"]]["values"]
    assert (tuned.training, tuned.seed) == (settings.training, settings.seed)
    assert {trial["state"] for trial in result["trials"]} == {"complete", "pruned"}
    assert json.loads((project / "metrics/tuning.json").read_text()) == result


def test_weights_and_parts_of_files_are_not_left_behind(project: Path) -> None:
    _tune(Script())

    assert not list(project.rglob("*.safetensors"))
    assert not list(project.rglob("*.partial"))
    assert sorted(path.name for path in (project / "artifacts/tuning").iterdir()) == ["optuna.db", "trials"]


def test_every_trial_is_a_run_below_the_tuning(project: Path) -> None:
    result = _tune(Script())
    runs = {run.info.run_name: run for run in _runs(project)}
    parents = [run for name, run in runs.items() if name.startswith("tuning smoke ")]
    ends = {"complete": "FINISHED", "pruned": "KILLED"}

    assert len(runs) == 9
    assert len(parents) == 1
    for trial in result["trials"]:
        run = runs[f"trial {trial['number']}"]
        assert run.data.tags[PARENT] == parents[0].info.run_id
        assert run.info.status == ends[trial["state"]]
        assert run.data.params["model.temperature"] == str(trial["values"]["model.temperature"])
    assert parents[0].data.metrics["best_trial"] == result["best"]


def test_trials_at_a_time_change_nothing(project: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = _tune(Script(), ahead=3)
    first = (project / "tuned.yaml").read_bytes()
    monkeypatch.chdir(make_project(project.parent / "other", empty_store))
    three = _tune(Script(delay_seconds=0.1), workers=3, ahead=3)

    assert three == one
    assert Path("tuned.yaml").read_bytes() == first


def test_the_storage_holds_the_trials_of_the_result(project: Path) -> None:
    result = _tune(Script())
    study = _stored(project, result["study"])

    states = {"complete": "COMPLETE", "pruned": "PRUNED"}
    assert [(trial.params, trial.state.name, trial.intermediate_values) for trial in study.trials] == [
        (trial["values"], states[trial["state"]], {int(epoch): recall for epoch, recall in trial["recalls"].items()})
        for trial in result["trials"]
    ]
    assert study.best_trial.number == result["best"]
    assert study.user_attrs["verdict"].startswith(f"Trial {result['best']} is better than the start values")


def test_trials_are_seen_in_the_storage_while_they_run(project: Path) -> None:
    script, seen = Script(), []

    def train(*args: Any, on_epoch: Callable[[dict[str, float]], None], **kwargs: Any) -> None:
        def on_epoch_looked_at(figures: dict[str, float]) -> None:
            on_epoch(figures)
            (name,) = optuna.get_all_study_names(f"sqlite:///{project}/artifacts/tuning/optuna.db")
            trials = _stored(project, name).trials
            seen.append([(trial.state.name, len(trial.intermediate_values)) for trial in trials])

        script(*args, on_epoch=on_epoch_looked_at, **kwargs)

    _tune(train, trials=2, epochs=2)

    assert seen[:4] == [
        [("RUNNING", 1)],
        [("RUNNING", 2)],
        [("COMPLETE", 2), ("RUNNING", 1)],
        [("COMPLETE", 2), ("RUNNING", 2)],
    ]


def _stored(root: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{root}/artifacts/tuning/optuna.db")


def test_a_second_pass_trains_nothing_and_finds_the_same(project: Path) -> None:
    first = _tune(Script())
    again = Script()

    assert _tune(again) == first
    assert (again.trained, again.tested) == ([], 0)
    assert len(_stored(project, first["study"]).trials) == 8
    assert len(_runs(project)) == 9


@pytest.mark.parametrize(
    ("name", "value"), [("model.temperature", 0.1), ("model.projection_dim", 4), ("training.epochs", 40)]
)
def test_what_the_trials_do_not_take_from_the_settings_changes_nothing(project: Path, name: str, value: float) -> None:
    first = _tune(Script())
    (project / "params.yaml").write_text(yaml.safe_dump(raw_settings({**SMALL_RUN, name: value})))
    again = Script()

    assert _tune(again) == first
    assert again.trained == []


def test_before_the_trials_it_says_how_long_they_are_and_how_to_leave_them_out(project: Path) -> None:
    lines: list[str] = []

    Tuning(_settings(project / "params.yaml", trials=4, epochs=2), log=lines.append, train=pytest.fail)

    assert re.match(
        r"up to 4 trials of 2 epochs, together about \d+\.\d times as long as the trainings after it", lines[0]
    )
    assert "`dvc exp run -S tune.enabled=false`, leaves it out" in lines[0]


def test_more_trials_keep_those_there_are(project: Path) -> None:
    first = _tune(Script())
    more = Script()
    result = _tune(more, trials=10)

    assert result["trials"][:8] == first["trials"]
    assert len(more.trained) <= 3  # two, and one whose weights are asked for again


def test_another_space_begins_anew_but_keeps_trial_0(project: Path) -> None:
    _tune(Script())
    other = Script()
    result = _tune(other, space={"model.temperature": {"start": 0.07, "low": 0.03, "high": 0.2}})

    assert result["n_earlier"] == 0
    assert len(list((project / "artifacts/tuning/trials").iterdir())) == 8
    assert all(values["model.temperature"] != START["model.temperature"] for values in other.trained)


def test_with_resume_earlier_studies_inform_the_proposals(project: Path) -> None:
    _tune(Script())
    result = _tune(
        Script(), space={"model.temperature": {"start": 0.07, "low": 0.01, "high": 0.2}, **_dimension()}, resume=True
    )

    assert result["n_earlier"] == 8
    assert len(result["trials"]) == 8


def _dimension() -> dict[str, Any]:
    return {"model.projection_dim": {"start": 128, "choices": [64, 128, 256]}}


def test_the_settings_stay_where_nothing_is_better(project: Path) -> None:
    result = _tune(Script(), space={"model.temperature": {"start": 0.07, "low": 0.07, "high": 0.2}})

    assert (result["chosen"], result["best"]) == (0, 0)
    assert yaml.safe_load((project / "tuned.yaml").read_text()) == {
        "preset": "smoke",
        "start": {"model.temperature": 0.07},
    }
    assert "# The start values stay" in (project / "tuned.yaml").read_text()


def test_the_settings_stay_where_the_gain_may_be_luck(project: Path) -> None:
    result = _tune(Script(), space={"model.temperature": {"start": 0.07, "low": 0.0675, "high": 0.07}})

    assert result["best"] != 0
    assert result["gain"]["measured"] > 0
    assert result["chosen"] == 0


def test_a_diverged_trial_counts_as_failed(project: Path) -> None:
    script = Script()
    script.diverges_below = 0.04
    result = _tune(script)
    failed = [trial for trial in result["trials"] if trial["state"] == "failed"]

    assert failed
    assert {trial["reason"] for trial in failed} == {"the loss is nan"}
    assert all(trial["values"]["model.temperature"] < 0.04 for trial in failed)
    ended = {run.info.run_name: run.info.status for run in _runs(project)}
    assert {ended[f"trial {trial['number']}"] for trial in failed} == {"FAILED"}


def test_where_the_start_diverges_the_best_is_chosen(project: Path) -> None:
    script = Script()
    script.diverges_below = 0.08
    result = _tune(script)

    assert result["gain"] is None
    assert result["chosen"] == result["best"] > 0
    assert "# Trial" in (tuned := (project / "tuned.yaml").read_text())
    assert "Trial 0, the start, diverged" in tuned


@pytest.mark.usefixtures("project")
def test_where_all_diverge_the_stage_fails() -> None:
    script = Script()
    script.diverges_below = 1.0

    with pytest.raises(StageError, match="no trial finished: the loss is nan"):
        _tune(script)


@pytest.mark.usefixtures("project")
def test_values_that_do_not_go_together_make_a_failed_trial() -> None:
    space = {
        "model.temperature": {"start": 0.07, "low": 0.02, "high": 0.2},
        "modalities.dos.encoder.width": {"start": 32, "choices": [32, 36]},
        "modalities.dos.encoder.heads": {"start": 4, "choices": [4, 8]},
    }
    result = _tune(Script(), combination="crystal+dos", space=space)
    failed = [trial for trial in result["trials"] if trial["state"] == "failed"]

    assert failed
    assert all(trial["values"]["modalities.dos.encoder.width"] == 36 for trial in failed)
    assert "expected a multiple of heads (8)" in failed[0]["reason"]


@pytest.mark.usefixtures("project")
def test_a_process_that_fails_is_tried_again() -> None:
    script = Script()
    script.crashes = [0.07]
    tuning = Tuning(_settings(), log=silent, train=script)

    with pytest.raises(TrainingError):
        tuning.trial(0, is_last_try=False)
    tuning.trial(0)
    assert tuning.study.outcomes[0].state == "complete"


@pytest.mark.usefixtures("project")
def test_a_process_that_fails_every_time_is_a_failed_trial() -> None:
    crashing = _tune(Script())["trials"][2]["values"]["model.temperature"]
    shutil.rmtree("artifacts/tuning")
    script = Script()
    script.crashes = [crashing]
    result = _tune(script)

    assert (result["trials"][2]["state"], result["trials"][2]["reason"]) == (
        "failed",
        "its process was ended by signal 9",
    )


@pytest.mark.usefixtures("project")
def test_without_trial_0_nothing_is_chosen() -> None:
    script = Script()
    script.crashes = [0.07]

    with pytest.raises(StageError, match="trial 0, the start, failed: its process was ended by signal 9"):
        _tune(script)


@pytest.mark.usefixtures("project")
def test_a_mistake_of_the_user_ends_all_trials() -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("artifacts/features/dos: not there")

    with pytest.raises(UserError, match="artifacts/features/dos: not there"):
        _tune(refuse, workers=2)


@pytest.mark.usefixtures("project")
def test_a_space_of_unknown_settings_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match=r"params.yaml: tune.space: model.temprature is no setting"):
        _tune(pytest.fail, space={"model.temprature": {"start": 0.1, "low": 0.1, "high": 0.2}})


def test_missing_features_are_named(tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UserError, match="run the featurize stage first"):
        Tuning(_settings(project_root / "params.yaml"), log=silent)


def test_switched_off_it_leaves_all_that_the_next_stages_read(project: Path) -> None:
    settings = load(project / "params.yaml")
    switch_off(settings, log=silent)

    assert apply_tuned(settings, project / "tuned.yaml") == settings
    assert json.loads((project / "metrics/tuning.json").read_text()) == {"enabled": False}
    assert (project / "artifacts/tuning").is_dir()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes of the stage: another number of threads gives other last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _train_here(name: str, *, on_epoch: Callable[[dict[str, float]], None], program: tuple[str, ...], **_: Any) -> None:
    run_trial(Path(program[-2]), program[-1], name, on_epoch=on_epoch, log=silent)


@pytest.mark.usefixtures("one_thread")
def test_killed_and_taken_up_again_it_comes_to_the_same(
    project: Path, empty_store: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real trainings: two at a time in processes, killed; then to the end, and beside it one that was left alone."""
    environment = os.environ | {"PYTHONPATH": f"{project_root}{os.pathsep}{project_root / 'src'}"}
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path\n"
        "from matbind.settings.load import load\n"
        "from matbind.training.tuning.run import Tuning\n"
        "from tests.training.tuning.tuning import make_tune\n"
        f"settings = load(Path('params.yaml')).model_copy(update={{'tune': make_tune(**{FOUR!r})}})\n"
        "tuning = Tuning(settings, log=print)\n"
        "with ThreadPoolExecutor(2) as pool:\n"
        "    list(pool.map(tuning.trial, range(4)))\n"
    )
    with (project / "killed.log").open("w") as log:
        stage = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(project.glob("artifacts/tuning/trials/*/trained.json")):
        assert stage.poll() is None, (project / "killed.log").read_text()
        assert time.monotonic() < deadline, (project / "killed.log").read_text()
        time.sleep(0.02)
    trainers = psutil.Process(stage.pid).children(recursive=True)
    stage.kill()
    stage.wait()
    assert psutil.wait_procs(trainers, timeout=60)[1] == []
    done = {path: path.stat().st_mtime_ns for path in project.glob("artifacts/tuning/trials/*/trained.json")}

    resumed = _tune(_train_here, **FOUR)
    assert {trial.state.name for trial in _stored(project, resumed["study"]).trials} <= {"COMPLETE", "PRUNED"}
    assert len(_stored(project, resumed["study"]).trials) == 4
    monkeypatch.chdir(make_project(project.parent / "other", empty_store))
    alone = _tune(_train_here, **FOUR)

    assert 1 <= len(done) < 4
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert resumed == alone
    assert (project / "tuned.yaml").read_bytes() == Path("tuned.yaml").read_bytes()
