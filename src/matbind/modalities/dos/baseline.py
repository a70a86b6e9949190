"""The linear baseline's view of a density of states: the square root of its bins, so that few states count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.structure import Structure
from matbind.modalities.dos.features import binned_density

N_BINS = 425
WINDOW_EV = (-15.0, 10.0)


def description(value: Any, structure: Structure) -> npt.NDArray[np.float32] | None:
    """Bin a density in states / eV / atom; 0 where it was not calculated, None where it cannot be used."""
    n_atoms = float(structure.occupancy.sum())
    try:
        return np.nan_to_num(binned_density(value, n_atoms=n_atoms, window_ev=WINDOW_EV, n_bins=N_BINS))
    except ValueError:
        return None


def inputs(descriptions: Sequence[Any], *, train: npt.NDArray[np.bool_]) -> Any:  # noqa: ARG001  nothing to fit
    """Return the square roots of the densities, shape (n, 425); negative ones count as 0."""
    return np.sqrt(np.maximum(np.stack(descriptions).astype(np.float64), 0.0))
