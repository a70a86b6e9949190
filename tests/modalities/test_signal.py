from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import white_tophat

from matbind.modalities.signal import is_noise, tallest_peak

X = np.arange(600.0)


def peaks(width: float, *, background: float = 0.1) -> np.ndarray:
    return sum(np.exp(-(((X - center) / width) ** 2)) for center in (90, 200, 210, 480)) + background


def test_it_is_the_white_tophat_of_scipy() -> None:
    curve = np.random.default_rng(0).uniform(0.1, 1, 600)

    expected = white_tophat(curve, size=21, mode="constant", cval=np.inf)

    assert tallest_peak(curve, n_bins=21) == pytest.approx(expected[20:-20].max() / curve.max(), abs=0.05)


@pytest.mark.parametrize(
    ("curve", "highest"),
    [
        (np.ones(600), 0.0),
        (X, 0.05),
        (np.where(X > 200, 1.0, 0.0), 0.0),
        (np.exp(-(((X - 200) / 90) ** 2)), 0.05),
        (np.exp(-X / 200), 0.11),
        (np.zeros(600), 0.0),
        (np.full(600, np.nan), 0.0),
    ],
    ids=["flat", "ramp", "step", "hump", "decay", "zero", "nothing"],
)
def test_what_is_wider_than_the_window_is_no_peak(curve: np.ndarray, highest: float) -> None:
    assert tallest_peak(curve, n_bins=21) <= highest


def test_narrow_peaks_rise_above_a_background() -> None:
    assert tallest_peak(peaks(3.0, background=0.5), n_bins=21) == pytest.approx(1 / 1.5, abs=0.02)


def test_what_was_not_measured_counts_for_nothing() -> None:
    hidden = np.where((X < 50) | (X > 500), np.nan, peaks(3.0))

    assert tallest_peak(hidden, n_bins=21) > 0.8


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("draw", [lambda rng: np.abs(rng.normal(size=600)), lambda rng: rng.poisson(5, 600)])
def test_noise_is_noise(draw, seed: int) -> None:
    assert is_noise(draw(np.random.default_rng(seed)))


@pytest.mark.parametrize("width", [0.3, 1.0, 3.0])  # one bin, a few bins, many
def test_noisy_peaks_are_none(width: float) -> None:
    assert not is_noise(peaks(width) + 0.02 * np.abs(np.random.default_rng(0).normal(size=600)))


@pytest.mark.parametrize("curve", [np.ones(600), np.full(600, np.nan)])
def test_what_does_not_vary_is_no_noise(curve: np.ndarray) -> None:
    assert not is_noise(curve)
