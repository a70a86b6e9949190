"""Densities of states with a wrong Fermi level, or broader."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from matbind.modalities.perturbation import RowPerturbation, broadened, shifted

PERTURBATIONS: Mapping[str, RowPerturbation] = MappingProxyType(
    {
        "shift": RowPerturbation(shifted, "eV", "density", "window_ev"),  # of the Fermi level
        "broadening": RowPerturbation(broadened, "eV (sigma)", "density", "window_ev"),
    }
)
"""What can be done to the rows of densities, by name."""
