"""Perturbations: queries as a worse measurement would give them.

A perturbation changes either the stored rows of features, by a strength with a unit, or the value itself, which is then
featurized anew. Training augments with the same kinds of change, but drawn at random; here the strength is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.modalities.table import part

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RowPerturbation:
    """A change of the rows of one array of features.

    Attributes:
        apply: takes rows of shape (n, n_bins), the strength, the width of a bin and a generator; returns new rows, in
            which what was not measured (NaN) stays so. It raises a ValueError where nothing of the rows would be left.
        unit: of the strength.
        array: name of the array.
        axis: key of the features' `meta` that holds where the axis of the bins begins and ends.
    """

    apply: Callable[[Rows, float, float, np.random.Generator], Rows]
    unit: str
    array: str
    axis: str

    def __call__(self, rows: Rows, strength: float, *, bounds: tuple[float, float], seed: int = 0) -> Rows:
        """Return perturbed copies of rows.

        Args:
            rows: shape (n, n_bins).
            strength: at least 0, in `unit`; 0 leaves the rows as they are.
            bounds: where the axis begins and ends.
            seed: of the noise.

        Raises:
            ValueError: if the strength is below 0 or leaves nothing of the rows.
        """
        if strength < 0:
            raise ValueError(f"{strength=} has to be at least 0")
        if strength == 0:
            return rows.copy()
        bin_width = (bounds[1] - bounds[0]) / rows.shape[1]
        return self.apply(rows, strength, bin_width, np.random.default_rng(seed))


@dataclass(frozen=True, slots=True)
class ValuePerturbation:
    """A change of the value itself, such as a text cut short."""

    apply: Callable[[Any], Any]  # takes the value and returns a new one


def row_perturbations(name: str) -> dict[str, RowPerturbation]:
    """Return the perturbations of a modality's rows by name; none if it has no such part."""
    return {key: change for key, change in _perturbations(name).items() if isinstance(change, RowPerturbation)}


def value_perturbations(name: str) -> dict[str, ValuePerturbation]:
    """Return the perturbations of a modality's values by name; none if it has no such part."""
    return {key: change for key, change in _perturbations(name).items() if isinstance(change, ValuePerturbation)}


def shifted(rows: Rows, distance: float, bin_width: float, _: np.random.Generator) -> Rows:
    """Move curves up their axis, by a number of bins that need not be whole; the value at the edge moves in."""
    from scipy.ndimage import shift

    return _where_measured(rows, lambda curves: shift(curves, (0, distance / bin_width), order=1, mode="nearest"))


def broadened(rows: Rows, sigma: float, bin_width: float, _: np.random.Generator) -> Rows:
    """Convolve curves with a Gaussian."""
    from scipy.ndimage import gaussian_filter1d

    return _where_measured(rows, lambda curves: gaussian_filter1d(curves, sigma / bin_width, axis=1, mode="nearest"))


def _perturbations(name: str) -> dict[str, Any]:
    module = part(name, "perturbations")
    return dict(module.PERTURBATIONS) if module else {}


def _where_measured(rows: Rows, change: Callable[[npt.NDArray[np.float64]], Rows]) -> Rows:
    measured = np.isfinite(rows)
    changed = change(np.where(measured, rows, 0).astype(np.float64))
    return np.where(measured, changed, np.nan).astype(np.float32)
