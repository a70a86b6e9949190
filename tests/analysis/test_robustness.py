from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import robustness
from matbind.analysis.task import UnavailableError, perform
from tests.analysis.world import add_trained, inputs_of, write_models
from tests.factories import needs_sample
from tests.serving.trained import EVERYTHING

pytestmark = needs_sample


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The combination of all modalities, trained for an epoch."""
    results_dir = tmp_path_factory.mktemp("robustness")
    write_models(results_dir, only=["crystal"])
    add_trained(results_dir, EVERYTHING)
    return inputs_of(results_dir)


@pytest.fixture(scope="module")
def content(asked):
    results = {task.key: perform(task.call).result for task in robustness.tasks(asked)}
    return robustness.assemble(asked, results)


@pytest.mark.parametrize(("modality", "name"), [("pxrd", "noise"), ("pxrd", "shift"), ("dos", "shift")])
def test_strength_zero_is_the_input_as_it_is(content, modality, name):
    result = content["curves"][modality][name]
    assert result["strengths"][0] == 0
    for pair, curve in result["models"][EVERYTHING]["pairs"].items():
        assert pair.startswith(f"{modality}->")
        assert curve["recall_at_1"][0] == pytest.approx(curve["stored_recall_at_1"], abs=1 / curve["n"])
        assert len(curve["recall_at_1"]) == len(curve["recall_at_1_ci95"]) == len(result["strengths"])


def test_a_perturbed_pattern_has_another_embedding(asked):
    [embedder], store, rows = robustness._models_and_queries(asked, EVERYTHING, "pxrd")
    patterns = store.dense("pattern", asked.test[rows])
    same, noisy = (
        robustness._embed_rows(embedder, "pxrd", "pattern", np.clip(patterns + extra, 0, 1), store)
        for extra in (0, 0.3)
    )
    np.testing.assert_allclose(same, asked.test_embeddings(EVERYTHING)["pxrd"][rows], atol=1e-5)
    assert np.abs(noisy - same).max() > 0.01


def test_a_strength_that_leaves_nothing_says_so_and_leaves_the_others(content):
    result = content["curves"]["pxrd"]["high_angles_missing"]["models"][EVERYTHING]
    assert "hides the whole pattern" in result["unavailable"]


def test_a_model_that_was_not_trained_says_so(content):
    result = content["curves"]["dos"]["shift"]["models"]["crystal+dos"]
    assert result == {"unavailable": "crystal+dos: it was not trained"}


def test_texts_in_full_and_shortened(content):
    assert content["text"]["levels"] == ["full", "first_sentence", "without_numbers"]
    result = content["text"]["models"][EVERYTHING]
    assert result["failed"] == {"full": 0, "first_sentence": 0, "without_numbers": 0}
    curve = result["pairs"]["text->crystal"]
    assert curve["recall_at_1"][0] == pytest.approx(curve["stored_recall_at_1"], abs=1 / curve["n"])
    assert len(curve["recall_at_1"]) == 3


def test_a_model_without_the_modality_in_the_test_split_says_so(tmp_path):
    write_models(tmp_path, only=["crystal"])
    add_trained(tmp_path, EVERYTHING)
    model_dir = tmp_path / "models" / EVERYTHING / "seed-0"
    with np.load(model_dir / "test_embeddings.npz") as stored:
        arrays = dict(stored)
    arrays["pxrd"][1:] = np.nan
    np.savez(model_dir / "test_embeddings.npz", **arrays)
    with pytest.raises(UnavailableError, match="1 test materials hold pxrd, expected at least 2"):
        robustness.curves(inputs_of(tmp_path).request, EVERYTHING, "pxrd")
