"""What the analysis says of combinations that were trained with several seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matbind.analysis import fused, gallery, geometry, helping, perovskites, probes
from matbind.analysis.inputs import Inputs
from matbind.evaluation.retrieval import present_rows, ranks
from tests.analysis.world import inputs_of, write_models
from tests.cache import shared
from tests.factories import needs_sample

pytestmark = needs_sample
NAME, PAIR = "crystal+dos+text", "dos->text"


def _write(results_dir: Path) -> None:
    write_models(results_dir, only=["dos+text", NAME], seeds=(0, 1))


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return inputs_of(shared("made-up-twice", _write))


def recalls(inputs: Inputs) -> list[float]:
    """Recall@1 of the pair by each training."""
    recalls = []
    for seed in (0, 1):
        embeddings = inputs.test_embeddings(NAME, seed)
        rows = present_rows(embeddings["dos"]) & present_rows(embeddings["text"])
        recalls.append(float(np.mean(ranks(embeddings["dos"][rows], embeddings["text"][rows]) <= 1)))
    assert recalls[0] != recalls[1]
    return recalls


def test_embeddings_are_of_the_model_unless_a_seed_is_named(inputs: Inputs) -> None:
    assert np.array_equal(inputs.embeddings(NAME)["dos"], inputs.embeddings(NAME, 1)["dos"], equal_nan=True)
    assert not np.array_equal(inputs.embeddings(NAME)["dos"], inputs.embeddings(NAME, 0)["dos"], equal_nan=True)


def test_hits_are_of_every_training(inputs: Inputs) -> None:
    hits = helping.hits(inputs.request, NAME)[PAIR]
    assert np.nanmean(hits, axis=1) == pytest.approx(recalls(inputs))


def test_the_curve_of_the_gallery_ends_at_the_mean_recall(inputs: Inputs) -> None:
    curve = gallery.by_size(inputs.request, NAME)[PAIR]
    assert curve["recall_at_1"][-1] == pytest.approx(np.mean(recalls(inputs)))
    for recall, (low, high) in zip(curve["recall_at_1"], curve["recall_at_1_ci95"], strict=True):
        assert low <= recall <= high
    low, high = curve["recall_at_1_ci95"][-1]
    assert low <= min(recalls(inputs)) < max(recalls(inputs)) <= high


def test_a_probe_is_the_mean_of_a_probe_of_each_training(inputs: Inputs) -> None:
    result = probes.probe_combination(inputs.request, NAME)[probes.FUSED]["crystal_system"]
    assert result.scores.shape == (2, len(inputs.test))
    assert result.value == pytest.approx(np.nanmean(result.scores, axis=1).mean())
    assert result.ci95 is not None
    assert result.ci95[0] <= result.value <= result.ci95[1]


def test_the_geometry_is_the_mean(inputs: Inputs) -> None:
    space = geometry.space(inputs.request, NAME)["modalities"]["dos"]
    each = [geometry.describe_space(inputs.test_modalities(NAME, seed))["modalities"]["dos"] for seed in (0, 1)]
    assert space["effective_rank"] == pytest.approx(np.mean([of["effective_rank"] for of in each]))
    assert space["n"] == each[0]["n"]


def test_fused_queries_and_their_parts_are_means(inputs: Inputs) -> None:
    result = fused.fused_and_parts(inputs.request, NAME)["crystal+dos->text"]
    assert result["gain"] == pytest.approx(result["recall_at_1"] - result["parts"][result["best_part"]])
    assert result["gain_ci95"][0] <= result["gain"] <= result["gain_ci95"][1]


def test_the_overlap_is_the_mean_and_its_error_holds_the_spread_of_trainings(inputs: Inputs) -> None:
    first, second = 0.2, 0.4
    separations = [
        {"overlap_area": area, "p_pairs": p, "p_permutation": p, "curve": area, "left_out": [area, area]}
        for area, p in ((first, 0.01), (second, 0.2))
    ]
    pooled = perovskites._pooled(separations, 1)
    assert (pooled["overlap_area"], pooled["p_permutation"], pooled["curve"]) == (pytest.approx(0.3), 0.2, second)
    error = perovskites._standard_error(pooled["left_out"], pooled["overlap_areas"])
    assert error == pytest.approx(np.std([first, second], ddof=1) / np.sqrt(2))
