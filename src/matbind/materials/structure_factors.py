"""Partial structure factors: a crystal in reciprocal space, element by element, before any scattering power.

A peak of a powder pattern has the intensity sum_ab w_a w_b A_ab, where w_a is how strongly element a scatters and the
partial structure factor A_ab = sum over the peak's reflections of Re(F_a conj(F_b)) is pure geometry. With the w left
open, these are the crystal's long-range order in a form that does not depend on the choice of the cell, the origin or
the orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matbind.materials.scattering import reflection_lines
from matbind.materials.structure import FloatArray, Structure, lower_triangular

MERGE_PER_ANGSTROM = 2e-5  # reflections whose |g| differ by less are one peak
FAINTEST = 1e-4  # of the strongest peak: fainter ones are left out


@dataclass(frozen=True, slots=True, eq=False)
class PartialStructureFactors:
    """Merged reflections of a crystal and their partial structure factors.

    Attributes:
        g_vector: (n_peaks, 3) one reflection of each peak, 1/angstrom, |g| = 1/d, ascending in length.
        pairs: (n_pairs, 2) atomic numbers a <= b of every pair of the crystal's elements.
        partial: (n_peaks, n_pairs) sum of Re(F_a conj(F_b)) over a peak's reflections, twice that for a != b, per
            squared number of atoms.
    """

    g_vector: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint8]
    partial: npt.NDArray[np.float32]


def partial_structure_factors(structure: Structure, *, g_stop_per_angstrom: float) -> PartialStructureFactors:
    """Compute the partial structure factors of all reflections up to a length.

    Args:
        structure: the crystal; mixed sites count by occupancy.
        g_stop_per_angstrom: largest |g| = 1/d; 0.9 is 88 degrees two theta for Cu K-alpha.

    Returns:
        The merged peaks; one half of each Friedel pair is counted.

    Raises:
        ValueError: if no reflection is that short.

    Source: Faber and Ziman, Philosophical Magazine 11, 153 (1965).
    """
    order = np.argsort(structure.atomic_number, kind="stable")
    elements, first = np.unique(structure.atomic_number[order], return_index=True)
    reciprocal = np.asarray(np.linalg.inv(structure.lattice).T, dtype=np.float64)
    lines = reflection_lines(lower_triangular(reciprocal), g_stop_per_angstrom)
    if not len(lines):
        raise ValueError(f"no reflection is shorter than {g_stop_per_angstrom} per angstrom")
    hkl = _miller_indices(lines)
    g_vector = hkl @ reciprocal
    length = np.linalg.norm(g_vector, axis=1)
    turns = hkl @ structure.frac_coords[structure.site_index[order]].T
    phase = np.exp(2j * np.pi * turns) * structure.occupancy[order]
    amplitude = np.add.reduceat(phase, first, axis=1) / structure.occupancy.sum()
    row, column = np.triu_indices(len(elements))
    partial = (amplitude[:, row] * amplitude[:, column].conj()).real * np.where(row == column, 1.0, 2.0)

    by_length = np.argsort(length, kind="stable")
    starts = np.flatnonzero(np.diff(length[by_length], prepend=-1.0) > MERGE_PER_ANGSTROM)
    merged = np.add.reduceat(partial[by_length], starts, axis=0)
    strength = np.abs(merged).max(axis=1)
    seen = strength > FAINTEST * strength.max()
    pairs = np.stack([elements[row], elements[column]], axis=1)
    return PartialStructureFactors(
        g_vector=g_vector[by_length[starts[seen]]].astype(np.float32),
        pairs=pairs.astype(np.uint8),
        partial=merged[seen].astype(np.float32),
    )


def _miller_indices(lines: npt.NDArray[np.int64]) -> FloatArray:
    counts = lines[:, 3] - lines[:, 2] + 1
    h = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - lines[:, 2], counts)
    return np.stack([h, np.repeat(lines[:, 0], counts), np.repeat(lines[:, 1], counts)], axis=1).astype(np.float64)
