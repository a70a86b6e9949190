"""What tells a measured curve from noise and from a background, whatever was measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.floating]
CERTAIN = 4.0  # standard errors
SPARSE = 8.0  # kurtosis; Gaussian noise has 3, the counts of an empty detector 4, a few sharp peaks 14 and more


def tallest_peak(curve: FloatArray, *, n_bins: int) -> float:
    """Compute how far the curve rises above all that is wider than some bins, as a share of its maximum.

    It is the white top-hat of mathematical morphology: a plateau, a slope or a broad hump leaves nothing.

    Args:
        curve: shape (n,), not negative, NaN where nothing was measured.
        n_bins: width of the window; what is narrower counts as a peak.
    """
    heights = np.nan_to_num(np.asarray(curve, dtype=np.float64))
    if len(heights) < n_bins or not heights.max() > 0:
        return 0.0
    lowest = sliding_window_view(heights, n_bins).min(axis=1)
    around = np.pad(lowest, n_bins - 1, constant_values=-np.inf)
    ground = sliding_window_view(around, n_bins).max(axis=1)
    return float((heights - ground).max() / heights.max())


def is_noise(curve: FloatArray) -> bool:
    """Return whether neighbours have nothing to do with each other, and it is not for a few peaks as narrow as a bin.

    Their correlation is within four standard errors, and the kurtosis is that of noise.

    Args:
        curve: shape (n,), NaN where nothing was measured.
    """
    values = np.asarray(curve, dtype=np.float64)
    values = values[np.isfinite(values)]
    values = values - values.mean() if len(values) else values
    power = float(values @ values)
    if not power > 0:
        return False
    correlation, kurtosis = (
        float(values[1:] @ values[:-1]) / power,
        float((values**4).mean()) * len(values) ** 2 / power**2,
    )
    return correlation < CERTAIN / np.sqrt(len(values)) and kurtosis < SPARSE
