from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from matbind.evaluation.two_level import (
    SHARE,
    interval,
    mean_interval,
    paired_change,
    resampled_means,
    resampling_weights,
    share_interval,
    wider_reach,
)

NAN = np.nan
N_MATERIALS = 580  # of the sample's test split
REPEATS = 300


def hits_of(trainings: int, *, recall: float, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Hits of trainings on the same materials: some materials are hard for all, and some trainings are better.

    A material is hit if a normal number, most of which belongs to the material, is below a threshold that belongs to
    the training; the expected recall over materials and trainings is known: see `true_recall`.
    """
    threshold, spread = latent(recall, deviation)
    hardness = np.sqrt(0.7) * rng.normal(size=N_MATERIALS)
    luck = np.sqrt(0.3) * rng.normal(size=(trainings, N_MATERIALS))
    return hardness + luck < threshold + spread * rng.normal(size=(trainings, 1))


def latent(recall: float, deviation: float) -> tuple[float, float]:
    threshold = stats.norm.ppf(recall)
    return threshold, deviation / stats.norm.pdf(threshold)


def true_recall(recall: float, deviation: float) -> float:
    threshold, spread = latent(recall, deviation)
    return float(stats.norm.cdf(threshold / np.sqrt(1 + spread**2)))


@pytest.mark.parametrize(
    ("trainings", "recall", "deviation"),
    [(3, 0.5, 0.0), (3, 0.5, 0.01), (3, 0.5, 0.03), (3, 0.1, 0.01), (3, 0.95, 0.005), (5, 0.5, 0.03)],
)
def test_an_interval_of_several_trainings_covers_the_truth(trainings: int, recall: float, deviation: float) -> None:
    rng, truth, covered = np.random.default_rng(3), true_recall(recall, deviation), 0
    for repeat in range(REPEATS):
        hits = hits_of(trainings, recall=recall, deviation=deviation, rng=rng)
        low, high = share_interval(hits, n_resamples=300, seed=repeat)
        covered += low <= truth <= high
    assert 0.92 <= covered / REPEATS <= 0.99


def test_materials_alone_do_not_cover_the_truth_where_trainings_differ() -> None:
    rng, truth, covered = np.random.default_rng(3), true_recall(0.5, 0.03), 0
    for repeat in range(REPEATS):
        low, high = share_interval(hits_of(1, recall=0.5, deviation=0.03, rng=rng), n_resamples=300, seed=repeat)
        covered += low <= truth <= high
    assert covered / REPEATS < 0.85


def test_a_change_between_models_of_several_trainings_covers_the_truth() -> None:
    rng, weights, covered = np.random.default_rng(5), resampling_weights(N_MATERIALS, n_resamples=300, seed=0), 0
    truth = true_recall(0.6, 0.02) - true_recall(0.5, 0.02)
    for _ in range(REPEATS):
        sides = [hits_of(3, recall=recall, deviation=0.02, rng=rng).astype(float) for recall in (0.5, 0.6)]
        _, (low, high) = paired_change(*sides, weights)
        covered += low <= truth <= high
    assert 0.92 <= covered / REPEATS <= 0.99


def test_one_training_has_the_percentile_interval_over_the_materials() -> None:
    hits = np.arange(200) < 60
    shares = np.random.default_rng(1).binomial(200, 0.3, size=1000) / 200
    expected = tuple(np.quantile(shares, [0.025, 0.975]))
    assert share_interval(hits, n_resamples=1000, seed=1) == pytest.approx(expected, abs=1e-15)
    assert share_interval(hits[None], n_resamples=1000, seed=1) == pytest.approx(expected, abs=1e-15)


def test_trainings_of_one_figure_have_the_interval_of_one() -> None:
    hits = np.arange(200) < 60
    assert share_interval(np.stack([hits] * 3), seed=1) == pytest.approx(share_interval(hits, seed=1))


def test_without_materials_that_differ_it_is_the_interval_of_student() -> None:
    trainings = np.array([0.70, 0.72, 0.77])
    expected = stats.t.interval(0.95, 2, loc=trainings.mean(), scale=trainings.std(ddof=1) / np.sqrt(3))
    assert interval(trainings.mean(), np.full(50, trainings.mean()), [trainings]) == pytest.approx(expected)


def test_an_interval_of_a_share_stays_between_none_and_all() -> None:
    trainings = np.array([0.8, 1.0])
    assert interval(0.9, np.full(50, 0.9), [trainings], limits=SHARE) == (0.0, 1.0)


def test_independent_models_add_their_variances() -> None:
    one, two = np.array([0.70, 0.72, 0.77]), np.array([0.1, 0.3, 0.2])
    total = one.var(ddof=1) / 3 + two.var(ddof=1) / 3
    freedom = total**2 / sum((part.var(ddof=1) / 3) ** 2 / 2 for part in (one, two))
    low, high = interval(1.0, np.ones(50), [one, two])
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, freedom) * np.sqrt(total))


def test_bootstrap_equals_resampling_the_queries() -> None:
    hits = np.arange(200) < 60
    rng = np.random.default_rng(0)
    shares = rng.choice(hits, size=(20_000, len(hits))).mean(axis=1)
    expected = np.quantile(shares, [0.025, 0.975])
    bounds = share_interval(hits, n_resamples=20_000, seed=1)
    np.testing.assert_allclose(bounds, expected, atol=0.006)  # about one step of 1 / 200


def test_of_several_trainings_materials_are_drawn_for_all_of_them_at_once() -> None:
    rng = np.random.default_rng(0)
    hits = hits_of(3, recall=0.5, deviation=0.03, rng=rng)
    weights = resampling_weights(N_MATERIALS, n_resamples=4000, seed=2)
    expected = mean_interval(hits.astype(float), weights, limits=SHARE)
    assert share_interval(hits, n_resamples=4000, seed=1) == pytest.approx(expected, abs=0.005)


def test_bootstrap_of_certain_hits_is_a_point() -> None:
    assert share_interval(np.ones(20, dtype=bool), seed=0) == (1.0, 1.0)


def test_no_query_is_refused() -> None:
    with pytest.raises(ValueError, match="no query to average over"):
        share_interval(np.zeros((2, 0), dtype=bool), seed=0)


def test_one_training_that_varies_as_others_do_reaches_further() -> None:
    assert wider_reach(0.04, deviation=0.0, n_trainings=3) == 0.04
    assert wider_reach(0.0, deviation=0.01, n_trainings=3) == pytest.approx(0.01 * stats.t.ppf(0.975, 2))
    assert wider_reach(0.04, deviation=0.01, n_trainings=3) > np.hypot(0.04, 0.01)


def test_weights_draw_as_many_materials_as_there_are() -> None:
    weights = resampling_weights(7, n_resamples=11, seed=0)
    assert weights.shape == (11, 7)
    np.testing.assert_array_equal(weights.sum(axis=1), 7)


def test_resampled_means_pass_over_what_is_not_asked() -> None:
    weights = np.array([[1, 2, 0], [0, 0, 3], [1, 0, 2]], dtype=np.float32)
    np.testing.assert_allclose(resampled_means(np.array([4.0, 1.0, NAN]), weights), [2.0, NAN, 4.0])


def test_a_paired_change_by_hand() -> None:
    weights = resampling_weights(4, n_resamples=200, seed=0)
    before, after = np.array([[0.0, 1.0, 0.0, 1.0]]), np.array([[1.0, 1.0, 0.0, NAN]])
    assert paired_change(before, after, weights) == (pytest.approx(1 / 3), (0.0, 1.0))


def test_a_constant_change_has_an_interval_of_no_width() -> None:
    weights = resampling_weights(3, n_resamples=50, seed=0)
    assert paired_change(np.full((1, 3), 0.75), np.ones((2, 3)), weights) == (0.25, (0.25, 0.25))
