"""The linear baseline's view of a crystal: what it is made of and the shape of its cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.structure import HEAVIEST_ATOMIC_NUMBER, Structure

FloatArray = npt.NDArray[np.float64]


def description(value: Structure, structure: Structure) -> FloatArray:  # noqa: ARG001  the two are the same
    """Describe a crystal by its composition and its reduced lattice.

    Returns:
        Shape (118 + 9,): square roots of the atomic fractions, so that a minor element counts; the logarithms of the
        volume per atom (cubic angstrom), of the density (dalton per cubic angstrom), of the number of sites and of the
        Niggli-reduced lengths, ascending (angstrom); the reduced angles, ascending (degree).
    """
    import spglib

    amounts = np.bincount(value.atomic_number - 1, weights=value.occupancy, minlength=HEAVIEST_ATOMIC_NUMBER)
    reduced = spglib.niggli_reduce(value.lattice)
    lattice = value.lattice if reduced is None else np.asarray(reduced)
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = (lattice @ lattice.T / np.outer(lengths, lengths))[[0, 0, 1], [1, 2, 2]]
    volume = value.volume_angstrom3
    sizes = [volume / amounts.sum(), amounts @ _masses_dalton() / volume, value.n_sites, *sorted(lengths)]
    angles = np.sort(np.degrees(np.arccos(np.clip(cosines, -1, 1))))
    return np.concatenate([np.sqrt(amounts / amounts.sum()), np.log(sizes), angles])


def inputs(descriptions: Sequence[FloatArray], *, train: npt.NDArray[np.bool_]) -> Any:  # noqa: ARG001  nothing to fit
    """Return the descriptions as a matrix, one row a crystal."""
    return np.stack(descriptions)


@cache
def _masses_dalton() -> FloatArray:
    from pymatgen.core.periodic_table import Element

    return np.array([float(Element.from_Z(z).atomic_mass) for z in range(1, HEAVIEST_ATOMIC_NUMBER + 1)])
