"""Shortest interatomic distances, periodic images included."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matbind.materials.formula import HEAVIEST_WITH_RADIUS
from matbind.materials.neighbors import neighbor_graph
from matbind.materials.structure import FloatArray, Structure

SHORTEST_DISTANCE_ANGSTROM = 0.5  # nothing is closer: the shortest bond of all, H-H, has 0.74


def overlap(structure: Structure) -> str | None:
    """Say in a clause how close two atoms are that are closer than any bond; return None where there are none."""
    graph = neighbor_graph(structure, max_neighbors=1)
    shortest = float(graph.distance[graph.neighbor >= 0].min(initial=np.inf))
    if shortest >= SHORTEST_DISTANCE_ANGSTROM:
        return None
    return f"two atoms are {shortest:.3f} angstrom apart, expected at least {SHORTEST_DISTANCE_ANGSTROM}"


@cache
def covalent_radii_angstrom() -> FloatArray:
    """Return the covalent radius by atomic number, angstrom, shape (97,), NaN at 0.

    Source: Cordero et al., Dalton Trans. 2832 (2008), by way of pymatgen.
    """
    from pymatgen.core.molecule_structure_comparator import CovalentRadius
    from pymatgen.core.periodic_table import Element

    radii = np.full(HEAVIEST_WITH_RADIUS + 1, np.nan)
    for symbol, radius in CovalentRadius.radius.items():
        radii[Element(symbol).Z] = radius
    return radii


@njit(cache=True, nogil=True)
def shortest_contacts(
    lattices: FloatArray, coords: FloatArray, radii: FloatArray, first_site: npt.NDArray[np.int64]
) -> FloatArray:
    """Find the shortest distance, and the shortest in units of the two atoms' radii, of every crystal.

    Along each axis an image is farther away than its number of planes times their spacing, so only the few images that
    can beat the shortest contact so far are looked at, however skewed the cell is.

    Args:
        lattices: shape (n, 3, 3), rows are the cell vectors in angstrom, not singular.
        coords: shape (n_sites of all, 3), fractional.
        radii: shape (n_sites of all,), angstrom.
        first_site: shape (n + 1,), where the sites of each crystal begin.

    Returns:
        Shape (n, 2): angstrom, and distance over the sum of the radii.
    """
    n = lattices.shape[0]
    shortest, delta, spacing = np.empty((n, 2)), np.empty(3), np.empty(3)
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for crystal in range(n):
        cell = lattices[crystal]
        inverse = np.linalg.inv(cell)
        edge = np.inf
        for axis in range(3):
            spacing[axis] = 1.0 / np.sqrt((inverse[:, axis] ** 2).sum())
            edge = min(edge, np.sqrt((cell[axis] ** 2).sum()))
        start, stop = first_site[crystal], first_site[crystal + 1]
        best = edge  # every atom meets its own image there
        best_ratio = edge / (2.0 * radii[start:stop].max())
        for i in range(start, stop):
            for j in range(i, stop):
                reach = max(best, best_ratio * (radii[i] + radii[j]))
                for axis in range(3):
                    delta[axis] = coords[j, axis] - coords[i, axis]
                    delta[axis] -= np.rint(delta[axis])
                    steps = reach / spacing[axis]
                    low[axis] = int(np.ceil(-steps - delta[axis]))
                    high[axis] = int(np.floor(steps - delta[axis]))
                for a in range(low[0], high[0] + 1):
                    for b in range(low[1], high[1] + 1):
                        for c in range(low[2], high[2] + 1):
                            if i == j and a == 0 and b == 0 and c == 0:
                                continue
                            u, v, w = delta[0] + a, delta[1] + b, delta[2] + c
                            x = u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
                            y = u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
                            z = u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
                            distance = np.sqrt(x * x + y * y + z * z)
                            best = min(best, distance)
                            best_ratio = min(best_ratio, distance / (radii[i] + radii[j]))
        shortest[crystal, 0] = best
        shortest[crystal, 1] = best_ratio
    return shortest


def group_sums(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> FloatArray:
    """Sum up every stretch `values[offsets[i]:offsets[i + 1]]`, 0 for an empty one."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    sums: FloatArray = total[offsets[1:]] - total[offsets[:-1]]
    return sums
