"""Random strain of crystals, shared by all modalities of a material within one training step.

Peaks, bond lengths and the lengths named in a text move together by exact geometry, so one crystal gives any number of
consistent (crystal, pattern, text) triples. The strain keeps the crystal's symmetry; a merged powder peak therefore
stays one peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.strains import from_mandel


@dataclass(frozen=True, slots=True)
class Strain:
    """Symmetric deformation gradients of a batch."""

    gradient: npt.NDArray[np.float32]  # shape (n_materials, 3, 3); a vector r of the crystal becomes gradient @ r

    def of(self, rows: npt.NDArray[Any]) -> Strain:
        """Return the strain of some of the materials, by mask or position."""
        return Strain(self.gradient[rows])

    @property
    def stretch(self) -> npt.NDArray[np.float32]:
        """Mean linear stretch of every material, shape (n_materials,): what bond lengths grow by on average."""
        return np.asarray(np.trace(self.gradient, axis1=1, axis2=2) / 3, dtype=np.float32)

    @property
    def inverse(self) -> npt.NDArray[np.float32]:
        """What reciprocal vectors are multiplied by (the gradient is symmetric), shape (n_materials, 3, 3)."""
        return np.linalg.inv(self.gradient).astype(np.float32)


def draw_strain(projectors: npt.NDArray[Any], *, volumetric: float, shape: float, rng: np.random.Generator) -> Strain:
    """Draw a strain of each material.

    Args:
        projectors: (n_materials, 6, 6) onto strains that keep the symmetry, Mandel basis.
        volumetric: the isotropic strain is uniform in +- this.
        shape: standard deviation of the components of the remaining strain, before projection.
        rng: source of randomness.
    """
    n = len(projectors)
    isotropic = rng.uniform(-volumetric, volumetric, n) if volumetric else np.zeros(n)
    free = rng.normal(0, shape, (n, 6)) if shape else np.zeros((n, 6))
    free = np.einsum("nij,nj->ni", projectors, free)
    gradient = from_mandel(free) + (1 + isotropic)[:, None, None] * np.eye(3)
    return Strain(gradient.astype(np.float32))
