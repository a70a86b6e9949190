"""Batches of powder patterns: in training drawn anew from the reflections of the strained crystal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from matbind.materials.diffraction import FWHM_PER_SIGMA, SCHERRER, TAIL_SIGMA
from matbind.materials.scattering import lorentz_polarisation
from matbind.materials.structure import IntArray
from matbind.modalities.batch import Batch
from matbind.modalities.pxrd.settings import TransformSettings
from matbind.modalities.store import Store
from matbind.modalities.strain import Strain

ROOT2 = math.sqrt(2.0)
HOW_OFTEN_HIDDEN = 0.5
STEEPEST_SINE = 0.9999  # of theta: beyond it the Lorentz factor and the width diverge


@dataclass(frozen=True)
class PatternBatch(Batch):
    """Powder patterns on one grid of angles."""

    pattern: Tensor  # (n_materials, n_bins) root of the mean intensity of a bin, maximum 1, zero where not measured
    mask: Tensor  # (n_materials, n_bins) true where something was measured


class Transform:
    """Makes batches of powder patterns from a feature store."""

    def __init__(self, store: Store, settings: TransformSettings) -> None:
        self.store = store
        self.settings = settings
        self.low_deg, self.high_deg = store.meta["two_theta_deg"]
        self.n_bins: int = store.meta["n_bins"]
        self.wavelength_angstrom: float = store.meta["wavelength_angstrom"]

    def __call__(
        self, index: IntArray, *, rng: np.random.Generator | None = None, strain: Strain | None = None
    ) -> PatternBatch:
        """Make the batch of some materials, augmented if `rng` is given."""
        pattern = self.store.dense("pattern", index)
        mask = np.isfinite(pattern)
        pattern = np.where(mask, pattern, 0)
        if rng is not None:
            pattern = np.where(mask, self.augment(pattern, index, rng, strain), 0)
            if self.settings.hidden:
                pattern, mask = hide(pattern, mask, self.settings.hidden, rng)
        return PatternBatch(torch.from_numpy(np.sqrt(pattern).astype(np.float32)), torch.from_numpy(mask))

    def augment(
        self, pattern: npt.NDArray[np.float32], index: IntArray, rng: np.random.Generator, strain: Strain | None
    ) -> npt.NDArray[np.float32]:
        """Draw computed patterns anew, then add noise and background to all."""
        g_vector, counts = self.store.ragged("g_vector", index)
        intensity = self.store.ragged("intensity", index).values
        settings = self.settings
        n = len(index)
        if strain is not None:
            g_vector = np.einsum("pi,pij->pj", g_vector, np.repeat(strain.inverse, counts, axis=0))
        if settings.texture:
            intensity = intensity * np.exp(rng.normal(0, settings.texture, len(intensity)).astype(np.float32))
        g = np.sqrt((g_vector * g_vector).sum(axis=1))
        smallest, largest = np.log(settings.crystallite_size_nm)
        size = np.exp(rng.uniform(smallest, largest, n))
        shift = rng.normal(0, settings.zero_shift_deg, n) if settings.zero_shift_deg else np.zeros(n)
        drawn = draw_patterns(
            g, intensity, counts, size, shift, self.wavelength_angstrom, self.low_deg, self.high_deg, self.n_bins
        )
        top = drawn.max(axis=1, keepdims=True)
        computed = (counts > 0)[:, None] & (top > 0)
        pattern = np.where(computed, drawn / np.maximum(top, 1e-12), pattern)
        if settings.background:
            pattern = pattern + _background(n, self.n_bins, settings.background, rng)
        if settings.noise:
            pattern = np.maximum(pattern + rng.normal(0, settings.noise, pattern.shape) * rng.uniform(0, 1, (n, 1)), 0)
        return np.asarray(pattern / pattern.max(axis=1, keepdims=True), dtype=np.float32)


def hide(
    pattern: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], largest: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Take angles away at both ends, as of a shorter scan; the strongest peak that is left has height 1 again."""
    n, n_bins = pattern.shape
    share = rng.uniform(0, largest, (n, 2)) * (rng.uniform(0, 1, (n, 1)) < HOW_OFTEN_HIDDEN)
    first, last = np.floor(share[:, :1] * n_bins), n_bins - np.floor(share[:, 1:] * n_bins)
    bins = np.arange(n_bins)
    left = mask & (bins >= first) & (bins < last)
    top = np.where(left, pattern, 0).max(axis=1, keepdims=True)
    left = np.where(top > 0, left, mask)  # a pattern whose peaks are all outside is not hidden
    shown = np.where(left, pattern, 0)
    return np.asarray(shown / np.maximum(shown.max(axis=1, keepdims=True), 1e-12), dtype=np.float32), left


def _background(n: int, n_bins: int, largest: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    x = np.linspace(-1, 1, n_bins, dtype=np.float32)
    powers = np.stack([np.ones_like(x), -x, x * x])
    mix = rng.dirichlet(np.ones(3), n).astype(np.float32) @ (powers + 1) / 2
    return np.asarray(mix * (largest * rng.uniform(0, 1, (n, 1)) ** 2), dtype=np.float32)


@njit(cache=True)
def draw_patterns(  # noqa: PLR0917  compiled code takes plain positional arrays
    g: npt.NDArray[np.float32],  # 1 / d of every peak of every material, 1 / angstrom, end to end
    intensity: npt.NDArray[np.float32],  # of every peak, without the Lorentz-polarisation factor
    counts: IntArray,  # peaks of each material
    crystallite_size_nm: npt.NDArray[np.float64],  # of each material
    zero_shift_deg: npt.NDArray[np.float64],  # added to all angles of a material
    wavelength_angstrom: float,  # of the X-rays
    low_deg: float,  # first edge of the grid, two theta
    high_deg: float,  # last edge of the grid, two theta
    n_bins: int,  # number of equal bins
) -> npt.NDArray[np.float32]:
    """Draw the patterns of many materials: Bragg's law, Lorentz-polarisation factor, Scherrer width, Gaussians by bin.

    Returns:
        Shape (n_materials, n_bins), not normalised.
    """
    patterns = np.zeros((len(counts), n_bins), dtype=np.float32)
    step = (high_deg - low_deg) / n_bins
    peak = 0
    for m in range(len(counts)):
        for _ in range(counts[m]):
            sine = g[peak] * wavelength_angstrom / 2
            area = intensity[peak]
            peak += 1
            if sine >= STEEPEST_SINE or sine <= 0:
                continue
            theta = math.asin(sine)
            cosine = math.cos(theta)
            numerator, denominator = lorentz_polarisation(sine * sine, cosine, math.cos(2 * theta))
            area *= numerator / denominator
            center = math.degrees(2 * theta) + zero_shift_deg[m]
            fwhm = math.degrees(SCHERRER * wavelength_angstrom / (10 * crystallite_size_nm[m] * cosine))
            sigma = fwhm / FWHM_PER_SIGMA
            first = max(int((center - TAIL_SIGMA * sigma - low_deg) / step), 0)
            last = min(int((center + TAIL_SIGMA * sigma - low_deg) / step), n_bins - 1)
            if last < 0 or first >= n_bins or first > last:
                continue
            scale = 1 / (ROOT2 * sigma)
            before = math.erf((low_deg + first * step - center) * scale)
            for b in range(first, last + 1):
                after = math.erf((low_deg + (b + 1) * step - center) * scale)
                patterns[m, b] += area * (after - before)
                before = after
    return patterns
