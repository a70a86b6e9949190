from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis.measures.bootstrap import paired_change, resampled_means, resampling_weights

NAN = np.nan


def test_weights_draw_as_many_materials_as_there_are():
    weights = resampling_weights(7, n_resamples=11, seed=0)
    assert weights.shape == (11, 7)
    np.testing.assert_array_equal(weights.sum(axis=1), 7)


def test_resampled_means_pass_over_what_is_not_asked():
    weights = np.array([[1, 2, 0], [0, 0, 3], [1, 0, 2]], dtype=np.float32)
    np.testing.assert_allclose(resampled_means(np.array([4.0, 1.0, NAN]), weights), [2.0, NAN, 4.0])


def test_a_paired_change_by_hand():
    weights = resampling_weights(4, n_resamples=200, seed=0)
    before, after = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0, NAN])
    assert paired_change(before, after, weights) == (pytest.approx(1 / 3), (0.0, 1.0))


def test_a_constant_change_has_an_interval_of_no_width():
    weights = resampling_weights(3, n_resamples=50, seed=0)
    assert paired_change(np.full(3, 0.75), np.ones(3), weights) == (0.25, (0.25, 0.25))
