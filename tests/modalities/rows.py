"""Rows of curves whose perturbation is known."""

from __future__ import annotations

import numpy as np

STEP = 0.1
BOUNDS = (0.0, 400 * STEP)


def peaks(*, at_bin: int = 100, sigma_bins: float = 4.0, n_bins: int = 400) -> np.ndarray:
    """Two rows of a strong and a weak Gaussian peak, maximum 1."""
    x = np.arange(n_bins)
    rows = [np.exp(-(((x - at_bin) / sigma_bins) ** 2) / 2) + 0.3 * np.exp(-(((x - 300) / sigma_bins) ** 2) / 2)]
    return np.array(rows * 2, dtype=np.float32)


def width_of(row: np.ndarray) -> float:
    x = np.arange(len(row))
    centre = np.average(x, weights=row)
    return float(np.sqrt(np.average((x - centre) ** 2, weights=row)))
