"""Two seeds of two small combinations, from training through comparison, analysis and registry to the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from matbind.analysis.stage import analyse
from matbind.base.files import ANALYSIS, COMPARISON, LEARNING_CURVES, MEAN_RECALL, METRICS, MODELS, read_json
from matbind.base.model_files import CURVES, EVALUATION, training_directory
from matbind.base.parallel import SerialPool
from matbind.evaluation.compare import compare
from matbind.modalities.combinations import parse_combination
from matbind.registry.listing import describe, read_states, rows
from matbind.registry.register import register_all
from matbind.registry.registry import Registry
from matbind.report.inputs import MAPS_TABLE, Inputs, read_answers
from matbind.report.stage import write_report
from matbind.settings.params import Settings
from matbind.tracking.runs import PARENT
from matbind.tracking.store import connect
from matbind.training.ablation import Ablation
from matbind.training.combination import train_and_evaluate
from tests.analysis.world import request
from tests.factories import ROOT, needs_sample, real_features, silent, small_run
from tests.tracking.stores import copy_store

pytestmark = needs_sample
NAMES = ("crystal+pxrd", "pxrd")


def asked(*seeds: int) -> Settings:
    return small_run({"training.epochs": 1, "ablate.combinations": list(NAMES), "ablate.seeds": list(seeds)})


@dataclass
class Stage:
    """The ablate stage without a process for each training."""

    settings: Settings

    def run(self) -> list[str]:
        """Return which trainings took place, in their order."""
        trained = []

        def train(name: str, *, program: tuple[str, ...], on_epoch: Callable[[Any], None], **_: Any) -> None:
            trained.append(f"{name} {program[-1]}")
            parsed = parse_combination(name)
            train_and_evaluate(self.settings, parsed, seed=int(program[-1]), on_epoch=on_epoch)

        def draw(_: Any, path: Path) -> None:
            shutil.copy(ROOT / "docs/images" / min(p.name for p in (ROOT / "docs/images").glob("*.png")), path)

        ablation = Ablation(self.settings, draw_curves=draw, log=silent, train=train)
        for name in ablation.trainings:
            ablation.train(name)
        ablation.finish({})
        return trained


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    copy_store(tmp_path)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/features").symlink_to(real_features())
    (tmp_path / "artifacts/valid").symlink_to(real_features().parent / "records")
    return tmp_path


def test_two_seeds_of_two_combinations_go_all_the_way(project: Path) -> None:
    settings = asked(0, 1)

    assert Stage(settings).run() == ["crystal+pxrd 0", "pxrd 0", "crystal+pxrd 1", "pxrd 1"]
    compare(
        settings,
        metrics=METRICS,
        records=Path("artifacts/valid"),
        out=COMPARISON,
        recall=MEAN_RECALL,
        summary=Path("metrics/summary.json"),
        reports=Path("reports"),
        data_md5=None,
        git_commit=None,
        log=silent,
    )
    analyse(
        replace(request(project), models=MODELS, metrics=METRICS, out=ANALYSIS),
        latent=Path("metrics/latent.json"),
        shapley=Path("metrics/shapley.json"),
        scratch=real_features().parent / "symmetry",
        params=ROOT / "params.yaml",
        log=silent,
        workers=SerialPool(),
    )
    registry_file = Path("metrics/registry.json")
    where = {"features": Path("artifacts/features"), "models": MODELS, "metrics": METRICS, "out": registry_file}
    registered = register_all(**where, log=silent)
    comparison = read_json(COMPARISON)
    inputs = Inputs(
        comparison=comparison,
        answers=read_answers(ANALYSIS),
        maps=ANALYSIS / MAPS_TABLE,
        tuning=None,
        registry=read_json(registry_file),
        preset="smoke",
        seed=0,
    )
    page = write_report(inputs, out=Path("reports"), log=silent, workers=1).read_text()

    # The figures of both trainings meet in the comparison, and both have a run below one ablation.
    trainings = [read_json(training_directory(MODELS, "crystal+pxrd", seed) / EVALUATION) for seed in (0, 1)]
    pooled = comparison["combinations"]["crystal+pxrd"]["pairs"]["pxrd->crystal"]
    assert pooled["recall_at_1"] == sum(t["pairs"]["pxrd->crystal"]["recall_at_1"] for t in trainings) / 2
    assert {"aligned", "aligned_sd"} == set(read_json(MEAN_RECALL)["crystal+pxrd"])
    client, experiment = connect()
    runs = {run.info.run_name: run for run in client.search_runs([experiment], f"tags.`{PARENT}` LIKE '%'")}
    assert set(runs) == {f"{name} seed {seed}" for name in NAMES for seed in (0, 1)}
    assert len({run.data.tags[PARENT] for run in runs.values()}) == 1
    # The model is the training that is best on validation, and says so.
    best = max(trainings, key=lambda training: training["validation_recall_at_1"])["seed"]
    [state] = read_states(Registry(), "crystal+pxrd")
    version = describe(state)["versions"][0]
    assert (version["seed"], version["seeds"]) == (best, [0, 1])
    assert rows(describe(state))[0][3] == f"{best}/2"
    assert version["run_id"] == runs[f"crystal+pxrd seed {best}"].info.run_id == registered["crystal+pxrd"]["run_id"]
    assert f"the training with seed {best}, the best of 2" in client.get_model_version(
        "matbind-crystal-pxrd", "1"
    ).description.replace("\n", " ")
    assert "over 2 trainings (seeds 0 and 1) and test materials" in page
    lines = LEARNING_CURVES.read_text().splitlines()
    assert [line.rsplit(",", 3)[0] for line in lines[1:]] == ["crystal+pxrd,0", "pxrd,0", "crystal+pxrd,1", "pxrd,1"]


def test_a_seed_that_is_added_is_all_that_is_trained_and_one_that_goes_leaves_the_rest(project: Path) -> None:
    assert Stage(asked(0)).run() == ["crystal+pxrd 0", "pxrd 0"]
    alone = read_json(METRICS / "pxrd.json")
    weights = (training_directory(MODELS, "pxrd", 0) / "model.safetensors").stat().st_mtime_ns

    assert Stage(asked(0, 1)).run() == ["crystal+pxrd 1", "pxrd 1"]
    assert read_json(METRICS / "pxrd.json")["seeds"] == [0, 1]

    assert Stage(asked(0)).run() == []
    assert read_json(METRICS / "pxrd.json") == alone
    assert (training_directory(MODELS, "pxrd", 0) / "model.safetensors").stat().st_mtime_ns == weights
    assert (training_directory(MODELS, "pxrd", 0) / CURVES).exists()
