"""Powder patterns as a worse instrument would measure them; every changed pattern has maximum 1 again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from matbind.modalities.perturbation import RowPerturbation, Rows, broadened, shifted

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
DECAY = 3.0  # a background falls to exp(-3) from the first bin to the last, as the scattering of air does


def _noise(rows: Rows, strength: float, _: float, rng: np.random.Generator) -> Rows:
    # No detector counts below zero: the sum is cut off, not the noise.
    return _to_maximum_one(np.maximum(rows + rng.normal(0, strength, rows.shape), 0))


def _background(rows: Rows, strength: float, _: float, __: np.random.Generator) -> Rows:
    return _to_maximum_one(rows + strength * np.exp(-DECAY * np.linspace(0, 1, rows.shape[1])))


def _shift(rows: Rows, strength: float, bin_width: float, rng: np.random.Generator) -> Rows:
    return _to_maximum_one(shifted(rows, strength, bin_width, rng))


def _broadening(rows: Rows, strength: float, bin_width: float, rng: np.random.Generator) -> Rows:
    return _to_maximum_one(broadened(rows, strength / FWHM_PER_SIGMA, bin_width, rng))


def _hidden(rows: Rows, strength: float, bin_width: float, _: np.random.Generator, *, low: bool) -> Rows:
    n_hidden = round(strength / bin_width)
    if n_hidden >= rows.shape[1]:
        raise ValueError(f"{strength=} degree hides the whole pattern of {rows.shape[1] * bin_width:g} degree")
    hidden = rows.copy()
    hidden[:, slice(0, n_hidden) if low else slice(rows.shape[1] - n_hidden, None)] = np.nan
    return _to_maximum_one(hidden)


def _to_maximum_one(rows: npt.NDArray[np.floating]) -> Rows:
    top = np.max(rows, axis=1, keepdims=True, where=np.isfinite(rows), initial=0.0)
    return np.asarray(np.divide(rows, top, out=np.asarray(rows, dtype=np.float64).copy(), where=top > 0), np.float32)


PERTURBATIONS: Mapping[str, RowPerturbation] = MappingProxyType(
    {
        name: RowPerturbation(apply, unit, "pattern", "two_theta_deg")
        for name, apply, unit in (
            ("noise", _noise, "share of the maximum"),  # standard deviation
            ("background", _background, "share of the maximum"),  # at the first angle
            ("shift", _shift, "degree"),  # of all peaks
            ("broadening", _broadening, "degree (FWHM)"),  # of a Gaussian
            ("low_angles_missing", partial(_hidden, low=True), "degree"),
            ("high_angles_missing", partial(_hidden, low=False), "degree"),
        )
    }
)
"""What can be done to the rows of patterns, by name."""
