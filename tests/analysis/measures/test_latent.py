from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde, ks_2samp, norm

from matbind.analysis.measures.latent import (
    density_overlap,
    group_difference,
    group_similarities,
    project_pca,
    project_tsne,
)
from matbind.analysis.task import UnavailableError


def two_groups(n: int = 30, *, apart: float, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members lie closely around one direction; the rest does not."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2 * n, d))
    member = np.arange(2 * n) < n
    values[member, 0] += apart
    return values, member


def test_similarities_of_directions_by_hand():
    angles = np.deg2rad([0, 60, 90, 10, 10, 190])
    values = np.column_stack([np.cos(angles), np.sin(angles)]) * np.arange(1, 7)[:, None]
    within, rest = group_similarities(values, np.array([True, True, True, False, False, False]), seed=0)
    np.testing.assert_allclose(within, np.cos(np.deg2rad([60, 90, 30])), atol=1e-12)
    np.testing.assert_allclose(rest, [1, -1, -1], atol=1e-12)


def test_a_large_side_is_sampled(monkeypatch):
    monkeypatch.setattr("matbind.analysis.measures.latent.MAX_MATERIALS", 10)
    values, member = two_groups(30, apart=0.0)
    within, rest = group_similarities(values, member, seed=0)
    assert len(within) == 45  # pairs of ten
    np.testing.assert_array_equal(rest, group_similarities(values, member, seed=0)[1])


@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0])
def test_overlap_of_two_normals_is_the_analytic_one(distance):
    # Quantiles stand for a sample. A kernel estimate is wider than the sample by Scott's bandwidth n^(-1/5).
    n = 4000
    a = norm.ppf((np.arange(n) + 0.5) / n)
    widened = np.sqrt(1 + n ** (-2 / 5))
    expected = 2 * norm.cdf(-distance / 2 / widened)
    assert density_overlap(a, a + distance).area == pytest.approx(expected, abs=2e-3)


def test_a_large_sample_has_the_density_of_all_its_values():
    values = np.random.default_rng(0).gamma(2.0, size=5000)
    overlap = density_overlap(values, values + 1)
    expected = gaussian_kde(values)(overlap.grid)
    np.testing.assert_allclose(overlap.first, expected, atol=1e-3 * expected.max())


def test_densities_are_normalised_on_their_grid():
    overlap = density_overlap(np.array([0.1, 0.2, 0.9]), np.array([-0.5, 0.0, 0.1, 0.2]))
    for density in (overlap.first, overlap.second):
        assert np.trapezoid(density, overlap.grid) == pytest.approx(1.0, abs=1e-3)


def test_samples_far_apart_do_not_overlap():
    rng = np.random.default_rng(0)
    assert density_overlap(rng.normal(size=50), 100 + rng.normal(size=50)).area == pytest.approx(0.0, abs=1e-6)


def test_a_sample_without_spread_has_no_density():
    with pytest.raises(UnavailableError, match="the second sample has no spread"):
        density_overlap(np.array([0.0, 1.0]), np.ones(5))


def test_the_statistic_is_scipys():
    values, member = two_groups(apart=1.0)
    difference = group_difference(values, member, n_permutations=1, seed=0)
    expected = ks_2samp(*group_similarities(values, member, seed=0))
    assert difference.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert difference.p_pairs == pytest.approx(expected.pvalue, rel=1e-12)


def test_a_group_that_is_apart_is_found():
    values, member = two_groups(apart=3.0)
    assert group_difference(values, member, n_permutations=199, seed=0).p_permutation == 1 / 200


def test_permutation_p_is_uniform_where_labels_mean_nothing_and_that_of_pairs_is_not():
    differences = []
    for seed in range(60):
        values, member = two_groups(12, apart=0.0, seed=seed)
        values[:, 0] += 2.0  # a common direction: how far a material is from it shifts all of its pairs at once
        differences.append(group_difference(values, member, n_permutations=39, seed=seed))
    # Of 60 uniform values, below 0.1: 6 expected, 14 or more has a probability of 0.002.
    assert sum(difference.p_permutation <= 0.1 for difference in differences) < 14
    assert sum(difference.p_pairs <= 0.1 for difference in differences) > 14


def test_ties_are_compared_after_the_last_of_them():
    values = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0]])
    difference = group_difference(values, np.arange(6) < 3, n_permutations=9, seed=0)
    assert (difference.statistic, difference.p_permutation) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ([True, True, False, False, False], "the group has 2 materials"),
        ([True, True, True, False, False], "the rest has 2 materials"),
    ],
)
def test_groups_that_cannot_be_compared(member, message):
    with pytest.raises(UnavailableError, match=message):
        group_similarities(np.eye(5), np.array(member), seed=0)


def test_labels_of_another_number_are_a_mistake_in_the_code():
    with pytest.raises(ValueError, match="differ in their rows") as caught:
        group_similarities(np.eye(5), np.array([True]), seed=0)
    assert not isinstance(caught.value, UnavailableError)


def test_an_embedding_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        group_similarities(np.full((6, 2), np.nan), np.arange(6) < 3, seed=0)


def test_tsne_is_scikit_learns_and_repeats():
    from sklearn.manifold import TSNE

    values, _ = two_groups(20, apart=5.0)
    projected = project_tsne(values, seed=3)
    assert projected.shape == (40, 2)
    np.testing.assert_array_equal(projected, project_tsne(values, seed=3))
    np.testing.assert_array_equal(projected, TSNE(random_state=3).fit_transform(values.astype(np.float32)))


def test_tsne_needs_more_rows_than_its_perplexity():
    with pytest.raises(UnavailableError, match="perplexity 30 needs more rows than that, found 30"):
        project_tsne(np.eye(30))


def test_components_of_an_ellipse():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5000, 3)) * [3.0, 1.0, 0.0]
    coordinates, explained_variance = project_pca(values)
    np.testing.assert_allclose(explained_variance, [0.9, 0.1], atol=0.01)
    assert coordinates.shape == (5000, 2)
    assert coordinates.std(axis=0) == pytest.approx([3.0, 1.0], rel=0.05)


def test_more_components_than_columns_are_refused():
    with pytest.raises(UnavailableError, match=r"2 components need as many rows and columns, found \(5, 1\)"):
        project_pca(np.eye(5)[:, :1])
