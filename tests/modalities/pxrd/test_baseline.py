from __future__ import annotations

import numpy as np

from matbind.modalities.pxrd.baseline import N_BINS, description, inputs
from matbind.modalities.pxrd.records import Pattern


def test_a_pattern_is_binned_and_what_was_not_measured_counts_as_nothing():
    intensity = np.full(2 * N_BINS, 0.5, np.float32)
    intensity[-40:] = np.nan
    described = description(Pattern(intensity, simulated=True), None)
    assert described.shape == (N_BINS,)
    np.testing.assert_allclose(described[:400], 1.0, rtol=2e-3)
    np.testing.assert_array_equal(described[-20:], 0.0)


def test_a_pattern_that_cannot_be_used_is_none():
    assert description(Pattern(np.zeros(2 * N_BINS, np.float32), simulated=True), None) is None


def test_square_roots_enter_and_negative_values_count_as_nothing():
    curves = [np.array([4.0, 0.0, -1.0]), np.array([9.0, 1.0, 0.25])]
    assert inputs(curves, train=np.ones(2, bool)).tolist() == [[2.0, 0.0, 0.0], [3.0, 1.0, 0.5]]
