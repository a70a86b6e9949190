"""Density of states: energies from the Fermi level, states per eV and atom, on the data set's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.modalities.dos.records import NAME, Dos
from matbind.modalities.dos.settings import FeaturesSettings
from matbind.modalities.material import Material
from matbind.modalities.signal import tallest_peak
from matbind.modalities.store import ArraySpec

WIDEST_PEAK_EV = 2.0
LOWEST_PEAK = 0.15  # of the maximum; the root of free electrons stays below 0.1


def specs(settings: FeaturesSettings) -> dict[str, ArraySpec]:
    """Return the arrays kept of a density of states."""
    return {"density": ArraySpec("float32", (settings.n_bins,))}  # states / eV / atom, NaN where not calculated


def fit(materials: Iterable[Material], settings: FeaturesSettings) -> dict[str, Any]:  # noqa: ARG001
    """Return what an encoder is built from; nothing has to be learned."""
    return settings.model_dump()


def binned_density(dos: Dos, *, n_atoms: float, window_ev: tuple[float, float], n_bins: int) -> npt.NDArray[np.float32]:
    """Compute the mean density of every energy bin, counted from the Fermi energy.

    The integral is conserved: a bin holds the difference of the cumulative number of states at its edges, so a peak
    narrower than a bin is not missed. Below the first energy there are no states. Above the last one nothing was
    calculated. A bin that comes out below zero, as some smearings make it, holds zero.

    Args:
        dos: energies in eV and states / eV / cell.
        n_atoms: atoms of the cell.
        window_ev: edges of the grid relative to the Fermi energy.
        n_bins: number of bins.

    Returns:
        Shape (n_bins,), states / eV / atom, NaN in bins beyond the last calculated energy.

    Raises:
        ValueError: if arrays differ in length, hold a value that is not finite, energies do not ascend, or the window
            holds no state.
    """
    energies, densities = dos.energies_ev, dos.densities
    if energies.shape != densities.shape or energies.ndim != 1 or len(energies) < 2:  # noqa: PLR2004
        raise ValueError(
            f"energies have shape {energies.shape} and densities {densities.shape}, expected two equal lengths of at "
            "least 2"
        )
    if not (np.isfinite(energies).all() and np.isfinite(densities).all() and np.isfinite(dos.efermi_ev)):
        raise ValueError("the DOS holds a value that is not finite")
    if (np.diff(energies) <= 0).any():
        raise ValueError("the energies of the DOS do not ascend")
    edges = np.linspace(*window_ev, n_bins + 1)
    steps = np.diff(energies)
    states = np.concatenate([[0.0], np.cumsum(steps * (densities[1:] + densities[:-1]) / 2)])
    at_edges = np.interp(edges, energies - dos.efermi_ev, states)
    density = np.maximum(np.diff(at_edges) / np.diff(edges) / n_atoms, 0.0)
    density[edges[1:] > energies[-1] - dos.efermi_ev + steps[-1]] = np.nan
    if not (density > 0).any():
        raise ValueError(f"the DOS has no state between {window_ev[0]:g} and {window_ev[1]:g} eV from the Fermi energy")
    return np.asarray(density, dtype=np.float32)


def objection(row: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> str:
    """Say why the arrays of one material are of no density of states; empty if nothing speaks against it."""
    low, high = meta["window_ev"]
    n_bins = round(WIDEST_PEAK_EV * meta["n_bins"] / (high - low))
    if tallest_peak(row["density"], n_bins=n_bins) < LOWEST_PEAK:
        return f"it has no peak narrower than {WIDEST_PEAK_EV:g} eV"
    return ""


class Featurizer:
    """Makes arrays of densities of states."""

    def __init__(self, settings: FeaturesSettings, meta: dict[str, Any]) -> None:  # noqa: ARG002
        self.settings = settings

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of one material, None where it has no density of states."""
        dos = material.values.get(NAME)
        if dos is None:
            return None
        n_atoms = float(material.structure.occupancy.sum())
        grid = self.settings.model_dump()
        return {"density": binned_density(dos, n_atoms=n_atoms, **grid)}
