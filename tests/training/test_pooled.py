from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json
from matbind.base.model_files import chosen_directory, training_directory
from matbind.modalities.combinations import parse_combination
from matbind.settings.params import Settings
from matbind.training.combination import train_and_evaluate
from matbind.training.pooled import pool
from tests.factories import needs_sample, real_features, small_run

pytestmark = needs_sample
NAME = "dos+text"
COMBINATION = parse_combination(NAME)


def settings(*seeds: int) -> Settings:
    return small_run({"training.epochs": 1, "ablate.seeds": list(seeds)})


def pooled(root: Path, *seeds: int) -> dict[str, Any]:
    places = {"features": real_features(), "models": root / "models", "metrics": root / "metrics"}
    return pool(settings(*seeds), COMBINATION, **places)


def train(root: Path, seed: int) -> dict[str, Any]:
    return train_and_evaluate(settings(seed), COMBINATION, seed=seed, features=real_features(), models=root / "models")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings with the seeds 0 and 1; tests that write to it take a copy."""
    root = tmp_path_factory.mktemp("pooled")
    for seed in (0, 1):
        train(root, seed)
    return root


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def judged(root: Path, *, validation: dict[int, float], test: dict[int, float]) -> None:
    """Write other recalls into the evaluations, by seed."""
    for seed, recall in validation.items():
        path = training_directory(root / "models", NAME, seed) / "evaluation.json"
        evaluation = read_json(path)
        evaluation["validation_recall_at_1"] = recall
        for pair in evaluation["pairs"].values():
            pair["recall_at_1"] = test[seed]
        write_json(path, evaluation)


def test_figures_are_means_over_the_trainings(copy: Path) -> None:
    metrics = pooled(copy, 0, 1)
    assert metrics == read_json(copy / "metrics" / f"{NAME}.json")
    first, second = metrics["trainings"]
    for pair, result in metrics["pairs"].items():
        assert result["recall_at_1"] == (first["pairs"][pair]["recall_at_1"] + second["pairs"][pair]["recall_at_1"]) / 2
        assert result["n_seeds"] == 2
    assert metrics["seeds"] == [0, 1]


def test_one_training_is_what_it_reached_itself(copy: Path) -> None:
    metrics = pooled(copy, 1)
    [training] = metrics["trainings"]
    assert {key: metrics[key] for key in training} == training
    assert (metrics["seed"], metrics["seeds"]) == (1, [1])


def test_the_model_is_chosen_on_the_validation_split_where_test_would_choose_another(copy: Path) -> None:
    judged(copy, validation={0: 0.4, 1: 0.5}, test={0: 0.9, 1: 0.1})
    assert pooled(copy, 0, 1)["seed"] == 1
    assert chosen_directory(copy / "models", NAME) == copy / "models" / NAME / "seed-1"
    judged(copy, validation={0: 0.6, 1: 0.5}, test={0: 0.1, 1: 0.9})
    assert pooled(copy, 0, 1)["seed"] == 0


def test_a_seed_that_is_added_leaves_the_others_and_one_that_is_taken_away_stays_trained(copy: Path) -> None:
    pooled(copy, 0)
    written = (training_directory(copy / "models", NAME, 1) / "model.safetensors").stat().st_mtime_ns
    assert pooled(copy, 0, 1, 2)["seeds"] == [0, 1]  # 2 is not trained yet
    assert pooled(copy, 0)["seeds"] == [0]
    assert (training_directory(copy / "models", NAME, 1) / "model.safetensors").stat().st_mtime_ns == written
    assert pooled(copy, 1, 0)["seeds"] == [1, 0]


def test_what_is_known_is_not_measured_again(copy: Path) -> None:
    pooled(copy, 0, 1)
    path = copy / "metrics" / f"{NAME}.json"
    written = path.stat().st_mtime_ns
    pooled(copy, 0, 1)
    assert path.stat().st_mtime_ns == written


def test_a_combination_without_a_training_has_no_metrics(trained: Path, tmp_path: Path) -> None:
    assert pooled(tmp_path, 0) == {}
    assert not (tmp_path / "metrics").exists()
    with pytest.raises(UserError, match=r"chosen.json: the file does not exist, expected a trained combination"):
        chosen_directory(tmp_path / "models", NAME)
