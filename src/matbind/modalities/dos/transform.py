"""Views of densities of states: shifted, broadened, noisy and rescaled in training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from matbind.base.config import StrictModel
from matbind.modalities.store import Store
from matbind.modalities.strain import Deformation

REACH_SIGMA = 4.0


class Settings(StrictModel):
    """Augmentation of densities of states.

    Attributes:
        shift_ev: standard deviation of a rigid shift in energy.
        broadening_ev: the width of an added Gaussian broadening is uniform up to this standard deviation.
        noise: standard deviation of relative noise on every bin.
        scale: standard deviation of the logarithm of a factor on all of it.
    """

    shift_ev: float = Field(ge=0, le=5)
    broadening_ev: float = Field(ge=0, le=2)
    noise: float = Field(ge=0, le=1)
    scale: float = Field(ge=0, le=1)


class Transform:
    """Batches of densities of states from a feature store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        low, high = store.meta["window_ev"]
        self.step_ev = (high - low) / store.meta["n_bins"]

    def __call__(
        self,
        index: npt.NDArray[np.int64],
        *,
        rng: np.random.Generator | None = None,
        deformation: Deformation | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """One view of each material; a strained crystal keeps its density of states.

        Returns:
            ``density`` (n_materials, n_bins), states / eV / atom, zero where not calculated, and ``mask`` of the same
            shape.
        """
        density = self.store.dense("density", index)
        mask = np.isfinite(density)
        density = np.where(mask, density, 0)
        if rng is not None:
            density = np.where(mask, self.augment(density, rng), 0)
        return {"density": torch.from_numpy(density.astype(np.float32)), "mask": torch.from_numpy(mask)}

    def augment(self, density: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Shift, broaden, rescale and add noise, each material by its own draw."""
        n, bins = density.shape
        s = self.settings
        if s.shift_ev or s.broadening_ev:
            # A margin of the last values keeps what leaves the window at one end from coming in at the other.
            margin = 1 + int(REACH_SIGMA * (s.shift_ev + s.broadening_ev) / self.step_ev)
            wide = np.pad(density, ((0, 0), (margin, margin)), mode="edge")
            frequency = np.fft.rfftfreq(bins + 2 * margin, d=self.step_ev)
            shift = rng.normal(0, s.shift_ev, (n, 1)) if s.shift_ev else np.zeros((n, 1))
            width = rng.uniform(0, s.broadening_ev, (n, 1)) if s.broadening_ev else np.zeros((n, 1))
            kernel = np.exp(-2 * (np.pi * width * frequency) ** 2 - 2j * np.pi * shift * frequency)
            moved = np.fft.irfft(np.fft.rfft(wide) * kernel, n=bins + 2 * margin)[:, margin:-margin]
            density = np.maximum(moved, 0).astype(np.float32)
        if s.scale:
            density = density * np.exp(rng.normal(0, s.scale, (n, 1))).astype(np.float32)
        if s.noise:
            density = density * np.maximum(1 + rng.normal(0, s.noise, density.shape), 0).astype(np.float32)
        return density
