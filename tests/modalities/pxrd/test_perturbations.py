from __future__ import annotations

import numpy as np
import pytest

from matbind.modalities.pxrd.perturbations import PERTURBATIONS
from tests.modalities.rows import BOUNDS, STEP, peaks, width_of


@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_patterns_have_maximum_one_and_no_negative_intensity(name):
    changed = PERTURBATIONS[name](peaks(), 0.5, bounds=BOUNDS)
    assert np.nanmax(changed, axis=1) == pytest.approx(1.0)
    assert np.nanmin(changed) >= 0


@pytest.mark.parametrize(("strength", "expected"), [(0.5, 105), (1.0, 110)])
def test_a_shift_moves_the_peak_by_its_strength(strength, expected):
    shifted = PERTURBATIONS["shift"](peaks(), strength, bounds=BOUNDS)
    np.testing.assert_array_equal(shifted.argmax(axis=1), expected)


def test_broadening_adds_in_squares():
    # Sigma 3 bins; a FWHM of 0.942 degree is a sigma of 0.4 degree, 4 bins: together 5.
    row = np.exp(-(((np.arange(400) - 200) / 3.0) ** 2) / 2)[None].astype(np.float32)
    pattern = PERTURBATIONS["broadening"](row, 0.4 * 2.354820, bounds=BOUNDS)
    assert width_of(pattern[0]) == pytest.approx(5.0, rel=0.01)


def test_noise_has_its_strength_and_that_of_its_seed():
    flat = np.full((1, 20_000), 1.0, np.float32)
    first, again, other = (PERTURBATIONS["noise"](flat, 0.02, bounds=BOUNDS, seed=seed) for seed in (1, 1, 2))
    assert np.std(first / first.mean()) == pytest.approx(0.02, rel=0.05)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_background_falls_with_the_angle():
    pattern = PERTURBATIONS["background"](np.eye(1, 101, dtype=np.float32), 0.5, bounds=BOUNDS)
    expected = 0.5 * np.exp(-3 * np.linspace(0, 1, 101))
    np.testing.assert_allclose(pattern[0, 1:], expected[1:] / 1.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "hidden"), [("low_angles_missing", slice(0, 110)), ("high_angles_missing", slice(-110, None))]
)
def test_a_missing_range_is_not_measured_and_the_rest_is_scaled(name, hidden):
    pattern = PERTURBATIONS[name](peaks(), 110 * STEP, bounds=BOUNDS)
    expected = np.zeros(400, bool)
    expected[hidden] = True
    np.testing.assert_array_equal(np.isnan(pattern[0]), expected)
    assert np.nanmax(pattern) == 1


def test_nothing_left_to_measure_is_refused():
    with pytest.raises(ValueError, match="hides the whole pattern of 40 degree"):
        PERTURBATIONS["low_angles_missing"](peaks(), 40.0, bounds=BOUNDS)
