"""Bootstrap over the materials of the test split: one set of resamples serves every question, so changes are paired."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
"""How often each material is drawn in each resample, shape (n_resamples, n_test)."""


def resampling_weights(n_test: int, *, n_resamples: int, seed: int) -> Weights:
    """Draw the materials of every resample; single precision counts them exactly."""
    drawn = np.random.default_rng(seed).multinomial(n_test, np.full(n_test, 1 / n_test), size=n_resamples)
    return drawn.astype(np.float32)


def resampled_means(values: npt.NDArray[np.floating[Any]], weights: Weights) -> DoubleArray:
    """Return the mean in each resample of the values that are not NaN; NaN where it drew none of them.

    Args:
        values: shape (n_test,).
        weights: of the resamples.
    """
    asked = np.isfinite(values)
    drawn = weights[:, asked]
    total = drawn.sum(axis=1, dtype=np.float64)
    sums = drawn @ values[asked].astype(np.float32)
    return np.asarray(np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0), dtype=np.float64)


def interval(resampled: Any) -> tuple[float, float]:
    """Return the 95 % percentile interval of resampled numbers, NaN passed over."""
    low, high = np.nanquantile(np.atleast_1d(resampled), [0.025, 0.975])
    return float(low), float(high)


def paired_change(before: DoubleArray, after: DoubleArray, weights: Weights) -> tuple[float, tuple[float, float]]:
    """Return the mean change of scores, over the materials that have both, and its 95 % interval.

    Args:
        before: one score a material, NaN where it is not asked; shape (n_test,).
        after: likewise.
        weights: of the resamples.
    """
    change = after - before
    return float(change[np.isfinite(change)].mean()), interval(resampled_means(change, weights))
