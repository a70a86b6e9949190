"""Batches of pair distribution functions, noisy in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matbind.modalities.batch import Batch
from matbind.modalities.store import Store

from .settings import TransformSettings


@dataclass(frozen=True)
class PdfBatch(Batch):
    """Functions of a batch.

    Attributes:
        density: shape (n_materials, n_bins), logarithm of 1 + atoms / angstrom.
    """

    density: Tensor


class Transform:
    """Batches from a feature store."""

    def __init__(self, store: Store, settings: TransformSettings) -> None:
        self.store, self.settings = store, settings

    def __call__(self, index: Any, *, rng: np.random.Generator | None = None, strain: Any = None) -> PdfBatch:  # noqa: ARG002
        """Return the functions of some materials, augmented where a generator is given."""
        density = self.store.dense("density", index)
        if rng is not None:
            density = density + rng.normal(0, self.settings.noise, density.shape)
        return PdfBatch(torch.from_numpy(density.astype(np.float32)))
