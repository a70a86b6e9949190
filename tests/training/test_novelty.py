from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from matbind.training.novelty import KNOWN, fit_novelty, read_novelty, write_novelty

N_FEATURES = 6


def outputs(n: int, *, seed: int = 0) -> np.ndarray:
    """Correlated outputs of six features, one of which never varies."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 5)) @ np.random.default_rng(9).normal(size=(5, 5)) + 3
    return np.column_stack([mixed, np.full(n, 7.0)]).astype(np.float32)


def test_the_distance_is_that_of_mahalanobis() -> None:
    training = outputs(500)[:, :5]
    novelty = fit_novelty(training, training)
    inverse = np.linalg.inv(np.cov(training.T, bias=True))

    expected = [mahalanobis(row, training.mean(axis=0), inverse) / np.sqrt(5) for row in training[:20]]

    np.testing.assert_allclose(novelty.distance(training[:20]), expected, rtol=0.1)


def test_others_of_the_kind_are_known_and_the_limit_says_how_many() -> None:
    novelty = fit_novelty(outputs(500), outputs(400, seed=1))

    known = (novelty.distance(outputs(1000, seed=2)) <= novelty.limit).mean()

    assert known == pytest.approx(KNOWN, abs=0.02)


@pytest.mark.parametrize("feature", range(N_FEATURES))
def test_what_is_far_in_any_feature_is_not_known(feature: int) -> None:
    novelty = fit_novelty(outputs(500), outputs(400, seed=1))
    strange = outputs(1, seed=3)
    strange[0, feature] += 50

    assert novelty.distance(strange)[0] > novelty.limit


def test_without_validation_the_limit_is_that_of_training() -> None:
    novelty = fit_novelty(outputs(500), outputs(0))

    assert np.isfinite(novelty.limit)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    novelty = fit_novelty(outputs(500), outputs(400, seed=1))

    write_novelty(tmp_path / "novelty.safetensors", {"dos": novelty})
    again = read_novelty(tmp_path / "novelty.safetensors")

    np.testing.assert_allclose(again["dos"].distance(outputs(9)), novelty.distance(outputs(9)), rtol=2e-3)
    assert again["dos"].limit == pytest.approx(novelty.limit)
