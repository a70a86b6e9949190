"""Powder diffraction: the pattern on the network's 2-theta grid, and the reflections it is drawn anew from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.diffraction import reflections
from matbind.materials.scattering import lorentz_polarisation
from matbind.modalities.material import Material
from matbind.modalities.pxrd.records import NAME
from matbind.modalities.pxrd.settings import FeaturesSettings
from matbind.modalities.signal import is_noise, tallest_peak
from matbind.modalities.store import ArraySpec

SMALLEST_GAP = 1e-6  # of the distance between points: what is less is rounding
WIDEST_PEAK_DEG = 2.0  # crystallites of 5 nm have peaks of this width
LOWEST_PEAK = 0.25  # of the maximum; a background with noise stays below 0.15


def specs(settings: FeaturesSettings) -> dict[str, ArraySpec]:
    """Return the arrays kept of a pattern."""
    return {
        # Mean intensity of a bin, maximum 1, NaN where not measured.
        "pattern": ArraySpec("float32", (settings.n_bins,)),
        "g_vector": ArraySpec("float32", (3,), ragged=True),  # 1 / angstrom; none for a measured pattern
        "intensity": ArraySpec("float32", ragged=True),  # without the Lorentz-polarisation factor
    }


def fit(materials: Iterable[Material], settings: FeaturesSettings) -> dict[str, Any]:  # noqa: ARG001
    """Return what an encoder is built from; nothing has to be learned."""
    return settings.model_dump()


def binned_pattern(intensity: npt.NDArray[np.float32], *, n_bins: int) -> npt.NDArray[np.float32]:
    """Compute the mean intensity of every bin of an evenly sampled pattern, maximum 1.

    The bins divide the range from the first point to the last. Between two points the intensity is the mean of both, so
    a bin's edge need not lie on a point.

    Args:
        intensity: shape (n_points,), NaN where nothing was measured.
        n_bins: number of equal bins, at most n_points.

    Returns:
        Shape (n_bins,), NaN in bins that reach to a point that was not measured.

    Raises:
        ValueError: if there are fewer points than bins, nothing was measured, or no intensity is above zero.
    """
    if len(intensity) < n_bins:
        raise ValueError(f"the pattern has {len(intensity)} points, expected at least the {n_bins} bins of the grid")
    point = np.arange(len(intensity))
    edges = np.linspace(0, len(intensity) - 1, n_bins + 1)
    measured = np.isfinite(intensity)
    height = np.where(measured, intensity, 0).astype(np.float64)
    area = np.concatenate([[0.0], np.cumsum((height[1:] + height[:-1]) / 2)])
    gaps = np.concatenate([[0.0], np.cumsum(~(measured[1:] & measured[:-1]))])
    pattern = np.diff(np.interp(edges, point, area)) / np.diff(edges)
    pattern[np.diff(np.interp(edges, point, gaps)) > SMALLEST_GAP] = np.nan
    highest = np.max(pattern, where=np.isfinite(pattern), initial=0.0)
    if not highest > 0:
        raise ValueError("the pattern has no intensity above zero")
    return np.asarray(pattern / highest, dtype=np.float32)


def objection(row: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> str:
    """Say why the arrays of one material are of no powder pattern; empty if nothing speaks against it."""
    low, high = meta["two_theta_deg"]
    if tallest_peak(row["pattern"], n_bins=round(WIDEST_PEAK_DEG * meta["n_bins"] / (high - low))) < LOWEST_PEAK:
        return f"no peak narrower than {WIDEST_PEAK_DEG:g} degrees rises above its background"
    if is_noise(row["pattern"]):
        return "neighbouring angles have nothing to do with each other, as in noise"
    return ""


class Featurizer:
    """Makes arrays of patterns."""

    def __init__(self, settings: FeaturesSettings, meta: dict[str, Any]) -> None:  # noqa: ARG002
        self.settings = settings
        low, high = np.sin(np.radians(settings.two_theta_deg) / 2)
        sines = np.array([low * (1 - settings.max_strain), min(high * (1 + settings.max_strain), 0.999)])
        start_deg, stop_deg = 2 * np.degrees(np.arcsin(sines))
        self._window_deg = (float(start_deg), float(stop_deg))

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of one material, None where it has no pattern."""
        measured = material.values.get(NAME)
        if measured is None:
            return None
        pattern = binned_pattern(measured.intensity, n_bins=self.settings.n_bins)
        if not measured.simulated:
            return {"pattern": pattern, "g_vector": np.zeros((0, 3)), "intensity": np.zeros(0)}
        wavelength_angstrom = self.settings.wavelength_angstrom
        peaks = reflections(material.structure, wavelength_angstrom=wavelength_angstrom, two_theta_deg=self._window_deg)
        double = np.radians(peaks.two_theta_deg)
        theta = double / 2
        numerator, denominator = lorentz_polarisation(np.sin(theta) ** 2, np.cos(theta), np.cos(double))
        bare = peaks.intensity / (numerator / denominator)
        return {"pattern": pattern, "g_vector": peaks.g_vector, "intensity": bare}
