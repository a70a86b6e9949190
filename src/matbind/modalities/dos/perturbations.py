"""Densities of states with a wrong Fermi level, or broader."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from matbind.modalities.perturbation import RowPerturbation, Rows, broadened, shifted


def _shift(rows: Rows, strength: float, bin_width: float, _: np.random.Generator) -> Rows:
    return shifted(rows, strength / bin_width)


def _broadening(rows: Rows, strength: float, bin_width: float, _: np.random.Generator) -> Rows:
    return broadened(rows, strength / bin_width)


PERTURBATIONS: Mapping[str, RowPerturbation] = MappingProxyType(
    {
        "shift": RowPerturbation(_shift, "eV", "density", "window_ev"),  # of the Fermi level
        "broadening": RowPerturbation(_broadening, "eV (sigma)", "density", "window_ev"),
    }
)
"""What can be done to the rows of densities, by name."""
