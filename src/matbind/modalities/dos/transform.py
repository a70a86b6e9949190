"""Batches of densities of states: shifted, broadened, noisy and rescaled in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.materials.structure import IntArray
from matbind.modalities.batch import Batch
from matbind.modalities.dos.settings import TransformSettings
from matbind.modalities.store import Store
from matbind.modalities.strain import Strain

REACH_SIGMA = 4.0


@dataclass(frozen=True)
class DosBatch(Batch):
    """Densities of states on one grid of energies."""

    density: Tensor  # (n_materials, n_bins) states / eV / atom, zero where not calculated
    mask: Tensor  # (n_materials, n_bins) true where calculated


class Transform:
    """Makes batches of densities of states from a feature store."""

    def __init__(self, store: Store, settings: TransformSettings) -> None:
        self.store = store
        self.settings = settings
        low, high = store.meta["window_ev"]
        self.step_ev = (high - low) / store.meta["n_bins"]

    def __call__(
        self,
        index: IntArray,
        *,
        rng: np.random.Generator | None = None,
        strain: Strain | None = None,  # noqa: ARG002
    ) -> DosBatch:
        """Make the batch of some materials, augmented if `rng` is given; a strained crystal keeps its density."""
        density = self.store.dense("density", index)
        mask = np.isfinite(density)
        density = np.where(mask, density, 0)
        if rng is not None:
            density = np.where(mask, self.augment(density, rng), 0)
        return DosBatch(torch.from_numpy(density.astype(np.float32)), torch.from_numpy(mask))

    def augment(self, density: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Shift, broaden and rescale each material by a draw of its own, and add noise."""
        n, bins = density.shape
        settings = self.settings
        if settings.shift_ev or settings.broadening_ev:
            # A margin of the last values keeps what leaves the window at one end from coming in at the other.
            margin = 1 + int(REACH_SIGMA * (settings.shift_ev + settings.broadening_ev) / self.step_ev)
            wide = np.pad(density, ((0, 0), (margin, margin)), mode="edge")
            frequency = np.fft.rfftfreq(bins + 2 * margin, d=self.step_ev)
            shift = rng.normal(0, settings.shift_ev, (n, 1)) if settings.shift_ev else np.zeros((n, 1))
            width = rng.uniform(0, settings.broadening_ev, (n, 1)) if settings.broadening_ev else np.zeros((n, 1))
            kernel = np.exp(-2 * (np.pi * width * frequency) ** 2 - 2j * np.pi * shift * frequency)
            moved = np.fft.irfft(np.fft.rfft(wide) * kernel, n=bins + 2 * margin)[:, margin:-margin]
            density = np.maximum(moved, 0).astype(np.float32)
        if settings.scale:
            density = density * np.exp(rng.normal(0, settings.scale, (n, 1))).astype(np.float32)
        if settings.noise:
            density = density * np.maximum(1 + rng.normal(0, settings.noise, density.shape), 0).astype(np.float32)
        return density
