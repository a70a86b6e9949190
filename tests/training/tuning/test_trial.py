from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from matbind.base.errors import UserError
from matbind.base.model_files import CHECKPOINT
from matbind.data.featurize import read_split
from matbind.modalities.combinations import parse_combination
from matbind.training.combination import fingerprint
from matbind.training.trainer import hits_of, recalls_of, validation_recalls
from matbind.training.tuning.space import apply_values
from matbind.training.tuning.trial import (
    evaluate_trial,
    prepare_directory,
    read_hits,
    read_if_of,
    train_trial,
)
from tests.factories import make_trainer, needs_sample, real_features, silent, small_run

pytestmark = needs_sample
COMBINATION = parse_combination("crystal+dos+text")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _train(directory, values=None, *, on_epoch=None):
    settings = apply_values(small_run(), values or {}, source="here")
    digest = fingerprint(settings, COMBINATION, settings.seed, real_features())
    prepare_directory(directory, digest, values or {})
    epochs = []
    options = {"features": real_features(), "directory": directory, "log": silent}
    train_trial(settings, COMBINATION, on_epoch=on_epoch or epochs.append, **options)
    return settings, digest, epochs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trial")
    return directory, *_train(directory)


def test_what_a_trial_leaves_behind(trained):
    directory, _, digest, epochs = trained
    content = json.loads((directory / "trained.json").read_text())

    names = {path.name for path in directory.iterdir()}
    assert names == {"trial.json", "trained.json", "hits.npz", "model.safetensors"}
    assert (content["fingerprint"], content["diverged"], content["history"]) == (digest, None, epochs)
    assert [figures["epoch"] for figures in epochs] == [1.0, 2.0]


def test_hits_give_the_recall_the_epoch_was_chosen_by(trained):
    directory, _, _, epochs = trained
    best = max(epochs, key=lambda figures: figures["validation_recall_at_1"])
    recalls = recalls_of(read_hits(directory))

    assert recalls == {pair: best[f"validation_recall_at_1.{pair}"] for pair in recalls}
    assert list(recalls) == ["crystal->dos", "dos->crystal", "crystal->text", "text->crystal"]


def test_hits_are_those_of_the_materials_that_hold_both():
    trainer = make_trainer("crystal+dos+text", features=real_features())
    index = read_split(real_features(), "validation")
    hits = hits_of(trainer, trainer.average, index)

    assert recalls_of(hits) == validation_recalls(trainer, trainer.average, index)
    np.testing.assert_array_equal(np.isfinite(hits["crystal->dos"]), trainer.stores["dos"].present[index])


def test_training_does_not_look_at_test(trained, tmp_path, monkeypatch):
    seen = []

    def watched(features, split):
        seen.append(split)
        return read_split(features, split)

    monkeypatch.setattr("matbind.training.tuning.trial.read_split", watched)
    monkeypatch.setattr("matbind.training.trainer.read_split", watched)
    _train(tmp_path)

    assert set(seen) == {"train", "validation"}


def test_the_weights_are_evaluated_on_test(trained, tmp_path):
    directory, settings, digest, _ = trained
    copy = shutil.copytree(directory, tmp_path / "trial")
    evaluate_trial(settings, COMBINATION, features=real_features(), directory=copy)
    content = read_if_of(copy / "test.json", digest)

    assert content is not None
    assert set(content["pairs"]) == set(recalls_of(read_hits(directory)))
    assert all(0 <= recall <= 1 for recall in content["pairs"].values())


def test_an_interrupted_trial_goes_on_and_tells_all_its_epochs(trained, tmp_path):
    class KilledError(Exception):
        pass

    def die(_):
        raise KilledError

    with pytest.raises(KilledError):
        _train(tmp_path, on_epoch=die)
    assert (tmp_path / CHECKPOINT).exists()
    *_, epochs = _train(tmp_path)

    without_time = [{key: value for key, value in figures.items() if key != "seconds"} for figures in epochs]
    assert without_time == [{k: v for k, v in figures.items() if k != "seconds"} for figures in trained[3]]
    for pair, hits in read_hits(tmp_path).items():
        np.testing.assert_array_equal(hits, read_hits(trained[0])[pair])


def test_a_training_that_diverges_is_told_apart(tmp_path):
    *_, epochs = _train(tmp_path, {"training.learning_rate": 1e30})
    content = json.loads((tmp_path / "trained.json").read_text())

    assert "the training diverged" in content["diverged"]
    assert content["history"] == epochs == []
    assert not (tmp_path / "model.safetensors").exists()


def test_another_trial_takes_the_directory(tmp_path):
    prepare_directory(tmp_path / "trial", "a", {"model.temperature": 0.1})
    (tmp_path / "trial" / CHECKPOINT).touch()
    prepare_directory(tmp_path / "trial", "a", {"model.temperature": 0.1})
    assert (tmp_path / "trial" / CHECKPOINT).exists()

    prepare_directory(tmp_path / "trial", "b", {"model.temperature": 0.2})
    assert not (tmp_path / "trial" / CHECKPOINT).exists()


def test_the_file_of_another_trial_is_not_taken(tmp_path):
    (tmp_path / "test.json").write_text('{"fingerprint": "a"}')

    assert read_if_of(tmp_path / "test.json", "b") is None
    assert read_if_of(tmp_path / "missing.json", "a") is None


def test_too_few_materials_stay_a_mistake_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr("matbind.training.trainer.FEWEST_PAIRS", 1000)

    with pytest.raises(UserError, match="expected at least 1000"):
        _train(tmp_path)
