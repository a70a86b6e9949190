"""A crystal as a graph of nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from matbind.materials.structure import FloatArray, IntArray, Structure, lower_triangular

TIE_STEP_ANGSTROM = 1e-4  # distances closer than this count as equal: coordinates are given to about six digits
FIRST_SHELL_FACTOR = 2.5  # volume first searched, in units of the volume that holds max_neighbors on average
RADIUS_GROWTH = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class CrystalGraph:
    """The nearest neighbours of every site, each at its own periodic image.

    Args:
        neighbor: (n_sites, max_neighbors) index of the neighbouring site, -1 where padded.
        edge_vector: (n_sites, max_neighbors, 3) angstrom from the site to its neighbour, zeros where padded.
    """

    neighbor: npt.NDArray[np.int32]
    edge_vector: npt.NDArray[np.float32]

    @property
    def distance(self) -> npt.NDArray[np.float32]:
        """(n_sites, max_neighbors) edge lengths in angstrom, zero where padded."""
        length: npt.NDArray[np.float32] = np.sqrt(np.square(self.edge_vector).sum(axis=-1))
        return length


def neighbor_graph(structure: Structure, *, cutoff_angstrom: float = 8.0, max_neighbors: int = 12) -> CrystalGraph:
    """Find the nearest neighbours of every site within a cutoff, periodic images included.

    The length of an edge is the distance to that image, not to the closest image of that site: in fcc
    copper the twelve edges of the one site lead to images of itself. No site is its own neighbour at distance zero.

    Neighbours ascend by (distance rounded to 1e-4 angstrom, site index, image), so the order does not hang on rounding.

    Args:
        structure: the crystal.
        cutoff_angstrom: neighbours farther than this are left out.
        max_neighbors: number of neighbours kept, and the width of the arrays.

    Returns:
        The graph; rows with fewer neighbours are padded at their end.

    Raises:
        ValueError: the cutoff or the number of neighbours is not positive.

    Source: Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), section "Crystal graph" (twelve neighbours).
    """
    if not (np.isfinite(cutoff_angstrom) and cutoff_angstrom > 0):
        raise ValueError(f"cutoff_angstrom is {cutoff_angstrom}, expected a positive length.")
    if max_neighbors < 1:
        raise ValueError(f"max_neighbors is {max_neighbors}, expected at least 1.")
    density = structure.n_sites / structure.volume_angstrom3
    first_radius = (3.0 * FIRST_SHELL_FACTOR * max_neighbors / (4.0 * np.pi * density)) ** (1.0 / 3.0)
    neighbor, edge_vector = _nearest(
        structure.lattice,
        lower_triangular(structure.lattice),
        structure.frac_coords,
        float(cutoff_angstrom),
        float(first_radius),
        int(max_neighbors),
    )
    return CrystalGraph(neighbor=neighbor, edge_vector=edge_vector)


@njit(cache=True)
def _nearest(  # noqa: PLR0917  compiled code takes plain positional arrays
    lattice: FloatArray,
    triangular: FloatArray,
    frac_coords: FloatArray,
    cutoff: float,
    first_radius: float,
    max_neighbors: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Search around every site in a sphere that grows until it surely holds the nearest neighbours."""
    n_sites = frac_coords.shape[0]
    neighbor = np.full((n_sites, max_neighbors), -1, dtype=np.int32)
    edge_vector = np.zeros((n_sites, max_neighbors, 3), dtype=np.float32)
    nearest = np.empty((max_neighbors, 5), dtype=np.int64)
    for i in range(n_sites):
        shift = frac_coords - frac_coords[i]
        radius = min(first_radius, cutoff)
        while True:
            count = 0
            for j in range(n_sites):
                count = _collect(triangular, shift[j], i == j, j, radius, nearest, count)
            # A rounding step is kept free at the rim, where a tie of the last neighbour could lie outside.
            full = count == max_neighbors and (nearest[count - 1, 0] + 1) * TIE_STEP_ANGSTROM <= radius
            if full or radius >= cutoff:
                break
            radius = min(radius * RADIUS_GROWTH, cutoff)
        for slot in range(count):
            j = nearest[slot, 1]
            neighbor[i, slot] = j
            for axis in range(3):
                component = 0.0
                for row in range(3):
                    component += (shift[j, row] + nearest[slot, 2 + row]) * lattice[row, axis]
                edge_vector[i, slot, axis] = component
    return neighbor, edge_vector


@njit(cache=True)
def _collect(  # noqa: PLR0917
    triangular: FloatArray,
    shift: FloatArray,
    same_site: bool,  # noqa: FBT001
    site: int,
    radius: float,
    nearest: IntArray,
    count: int,
) -> int:
    """Insert every image of one site inside the sphere into the sorted list `nearest`, and return its new length."""
    t00, t10, t11 = triangular[0, 0], triangular[1, 0], triangular[1, 1]
    t20, t21, t22 = triangular[2, 0], triangular[2, 1], triangular[2, 2]
    reach_c = radius / t22
    for nc in range(int(np.ceil(-reach_c - shift[2])), int(np.floor(reach_c - shift[2])) + 1):
        fc = nc + shift[2]
        rest_z = max(radius * radius - (fc * t22) ** 2, 0.0)
        reach_b = np.sqrt(rest_z) / t11
        center_b = shift[1] + fc * t21 / t11
        for nb in range(int(np.ceil(-reach_b - center_b)), int(np.floor(reach_b - center_b)) + 1):
            fb = nb + shift[1]
            y = fb * t11 + fc * t21
            rest_y = max(rest_z - y * y, 0.0)
            reach_a = np.sqrt(rest_y) / t00
            center_a = shift[0] + (fb * t10 + fc * t20) / t00
            for na in range(int(np.ceil(-reach_a - center_a)), int(np.floor(reach_a - center_a)) + 1):
                if same_site and na == 0 and nb == 0 and nc == 0:
                    continue
                x = (na + center_a) * t00
                distance = np.sqrt(x * x + radius * radius - rest_y)
                count = _insert((int(np.rint(distance / TIE_STEP_ANGSTROM)), site, na, nb, nc), nearest, count)
    return count


@njit(cache=True)
def _insert(key: tuple[int, int, int, int, int], nearest: IntArray, count: int) -> int:
    """Insert (distance in tie steps, site, image) in ascending order, dropping what no longer fits at the end."""
    slot = count
    while slot > 0:
        above = slot - 1
        before = False
        for position in range(5):
            if key[position] != nearest[above, position]:
                before = key[position] < nearest[above, position]
                break
        if not before:
            break
        if slot < nearest.shape[0]:
            nearest[slot] = nearest[above]
        slot = above
    if slot < nearest.shape[0]:
        for position in range(5):
            nearest[slot, position] = key[position]
    return min(count + 1, len(nearest))
