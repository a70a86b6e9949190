"""Whether powder patterns are those of their structures: thousands of them in one compiled loop.

A pattern is compared with the reflections of its structure on a coarse grid of angles, both smoothed, so that the width
of the peaks matters little. Reflections are added to the bins where they fall; no pattern is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from matbind.materials.scattering import (
    HEAVIEST_TABULATED,
    form_factor_table,
    lorentz_polarisation,
    reflection_lines,
    structure_factors,
)
from matbind.modalities.ragged import ragged

STEP_DEG = 0.25
TAIL_DEG = 1.0  # peaks up to here beyond the compared angles reach into them
FEWEST_BINS = 20
SMOOTHINGS = 4
N_REFLECTIONS = 1000  # reciprocal lattice points compared, so that a large cell costs hardly more than a small one
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What scatters in many crystals, as plain arrays; the crystals are turned, which changes no angle."""

    position: pl.DataFrame  # columns material_id and position, the number of the crystal
    reciprocal: FloatArray  # (n, 3, 3) lower triangular, 1/angstrom
    coords: FloatArray  # (n_entries of all, 3) fractional, those of one element of a crystal in a row
    number: IntArray  # (n_entries of all,)
    occupancy: FloatArray  # (n_entries of all,)
    first: IntArray  # (n + 1,) where the entries of each crystal begin

    @classmethod
    def of(cls, structures: pl.DataFrame) -> Self:
        """Take rows of `structures.parquet` whose structure is sound."""
        lattice, coords, number = (ragged(structures[name]) for name in ("lattice", "frac_coords", "atomic_numbers"))
        n_entries = number.lengths
        crystal = np.repeat(np.arange(len(structures)), n_entries)
        entry = np.arange(len(crystal)) - np.repeat(number.offsets[:-1], n_entries)
        site, occupancy = entry, np.ones(len(crystal))
        if {"site_index", "occupancy"} <= set(structures.columns):
            stated, share = ragged(structures["site_index"]), ragged(structures["occupancy"])
            given = np.repeat(stated.lengths > 0, n_entries)
            site[given], occupancy[given] = stated.values, share.values
        xyz = coords.values.reshape(-1, 3)[np.repeat(coords.offsets[:-1] // 3, n_entries) + site]
        order = np.lexsort((number.values, crystal))
        inverse = np.linalg.inv(lattice.values.reshape(-1, 3, 3)) if len(structures) else np.empty((0, 3, 3))
        _, upper = np.linalg.qr(inverse)
        upper *= np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, :, None]
        return cls(
            position=structures.select("material_id", position=pl.int_range(pl.len())),
            reciprocal=np.ascontiguousarray(upper.transpose(0, 2, 1)),
            coords=np.ascontiguousarray(xyz[order]),
            number=number.values[order].astype(np.int64),
            occupancy=occupancy[order],
            first=number.offsets,
        )

    def positions(self, material_ids: pl.Series) -> IntArray:
        """Return the number of the crystal of every id, -1 where there is none."""
        joined = pl.DataFrame({"material_id": material_ids}).join(
            self.position, on="material_id", how="left", maintain_order="left"
        )
        return joined["position"].fill_null(-1).to_numpy().astype(np.int64)


def agreement(
    values: npt.NDArray[np.float32],
    offsets: IntArray,
    crystal: IntArray,
    cells: Cells,
    *,
    two_theta_deg: tuple[float, float],
    wavelength_angstrom: float,
) -> FloatArray:
    """Compare patterns with the reflections of structures, up to about the first 1,000 reciprocal lattice points.

    Args:
        values: the patterns end to end, finite where they are compared.
        offsets: shape (n + 1,), where each begins.
        crystal: shape (n,), number of the structure of each among the cells; -1 is not compared.
        cells: the structures.
        two_theta_deg: first and last angle of every pattern.
        wavelength_angstrom: of the X-rays.

    Returns:
        Cosine of every pattern, shape (n,), 0 to 1; NaN where nothing is compared or the structure reflects nothing at
        these angles.
    """
    scatterers = (cells.reciprocal, cells.coords, cells.number, cells.occupancy, cells.first)
    table: Any = form_factor_table().copy()
    return np.asarray(_agreement(values, offsets, crystal, *scatterers, table, *two_theta_deg, wavelength_angstrom))


# The cache does not see changes of the functions that come from materials/scattering.py: touch this file as well.
@njit(cache=True, nogil=True)
def _agreement(  # noqa: PLR0917
    values: npt.NDArray[np.float32],
    offsets: IntArray,
    crystal: IntArray,
    reciprocal: FloatArray,
    coords: FloatArray,
    number: IntArray,
    occupancy: FloatArray,
    first: IntArray,
    form_factor: FloatArray,
    start: float,
    stop: float,
    wavelength: float,
) -> FloatArray:
    n = len(crystal)
    cosine = np.full(n, np.nan)
    for row in range(n):
        c = crystal[row]
        if c < 0 or number[first[c] : first[c + 1]].max() > HEAVIEST_TABULATED:
            continue
        pattern = values[offsets[row] : offsets[row + 1]]
        step = max(STEP_DEG, 2.0 * (stop - start) / (len(pattern) - 1))
        cell = reciprocal[c]
        density = cell[0, 0] * cell[1, 1] * cell[2, 2]  # reciprocal lattice points a volume: one over that
        g_wanted = (3.0 * N_REFLECTIONS * density / (4.0 * np.pi)) ** (1.0 / 3.0)
        sine = min(0.5 * wavelength * g_wanted, 1.0)
        near = min(stop, max(np.degrees(2.0 * np.arcsin(sine)), start + FEWEST_BINS * STEP_DEG))
        begin, until = first[c], first[c + 1]
        xyz, element, share = coords[begin:until], number[begin:until], occupancy[begin:until]
        for end in (near, stop):
            n_bins = int((end - start) / step) + 1
            last = min(end + TAIL_DEG, stop)
            computed = _peaks(cell, xyz, element, share, form_factor, start, last, wavelength, step, n_bins)
            if computed.any():
                measured = np.zeros(n_bins)
                fine = (stop - start) / (len(pattern) - 1)
                for i in range(min(len(pattern), int(n_bins * step / fine) + 1)):
                    _drop(measured, i * fine / step, pattern[i])
                cosine[row] = _cosine(measured, computed)
                break
    return cosine


@njit(cache=True, nogil=True)
def _peaks(  # noqa: PLR0917
    cell: FloatArray,
    coords: FloatArray,
    number: IntArray,
    occupancy: FloatArray,
    form_factor: FloatArray,
    start: float,
    stop: float,
    wavelength: float,
    step: float,
    n_bins: int,
) -> FloatArray:
    """Add up the intensities of all reflections between two angles, in bins from the first."""
    computed = np.zeros(n_bins)
    lines = reflection_lines(cell, 2.0 * np.sin(np.radians(stop) / 2.0) / wavelength)
    if not len(lines):
        return computed
    elements = np.unique(number)
    begins = np.searchsorted(number, np.append(elements, elements[-1] + 1))
    _, g2, f2 = structure_factors(cell, lines, coords, occupancy, begins, elements, form_factor[elements - 1])
    lowest = 2.0 * np.sin(np.radians(start) / 2.0) / wavelength
    for i in range(len(g2)):
        if g2[i] < lowest * lowest:
            continue
        sin2 = min(0.25 * wavelength * wavelength * g2[i], 1.0 - 1e-12)
        numerator, denominator = lorentz_polarisation(sin2, np.sqrt(1.0 - sin2), 1.0 - 2.0 * sin2)
        intensity = f2[i] * numerator / denominator
        _drop(computed, (np.degrees(2.0 * np.arcsin(np.sqrt(sin2))) - start) / step, intensity)
    return computed


@njit(cache=True, nogil=True)
def _drop(line: FloatArray, at: float, amount: float) -> None:
    """Share an amount between the two bins next to a place."""
    whole = int(at)
    if whole < len(line) - 1:
        line[whole] += amount * (1.0 - (at - whole))
        line[whole + 1] += amount * (at - whole)


@njit(cache=True, nogil=True)
def _cosine(measured: FloatArray, computed: FloatArray) -> float:
    """Return the cosine of two lines, both smoothed here in place."""
    for _ in range(SMOOTHINGS):
        for line in (measured, computed):
            before = line[0]
            for i in range(len(line) - 1):
                here = line[i]
                line[i] = 0.25 * before + 0.5 * here + 0.25 * line[i + 1]
                before = here
    norm = np.sqrt((measured * measured).sum() * (computed * computed).sum())
    return (measured * computed).sum() / norm if norm > 0 else 0.0
