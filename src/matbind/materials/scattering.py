"""What X-rays do at atoms: wavelengths of laboratory tubes, form factors, structure factors, polarisation.

Source: the fits f(s) = Z - 41.78214 s^2 sum_i a_i exp(-b_i s^2), s = sin(theta) / wavelength, of De Graef and McHenry,
Structure of Materials (2nd edition, chapter 12), with the values that pymatgen distributes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matbind.materials.formula import ELEMENTS
from matbind.materials.structure import FloatArray, IntArray

FORM_FACTOR_PREFACTOR = 41.78214

# LLVM flags for compiled sums: they may be reordered, but NaN and infinity keep their meaning.
REORDERED_SUMS = {"reassoc", "contract", "nsz", "arcp"}

HEAVIEST_TABULATED = 98


@lru_cache(maxsize=1)
def form_factor_table() -> FloatArray:
    """Read the fit parameters from the file that pymatgen installs, as a read-only array.

    Returns:
        (n_elements, 4, 2) pairs a (angstrom) and b (square angstrom); row Z - 1 belongs to atomic number Z.
    """
    file = files("pymatgen.analysis.diffraction") / "atomic_scattering_params.json"
    by_symbol = json.loads(file.read_text(encoding="utf-8"))
    table = np.array([by_symbol[symbol] for symbol in ELEMENTS[:HEAVIEST_TABULATED]], dtype=np.float64)
    table.setflags(write=False)
    return table


@njit(cache=True)
def lorentz_polarisation(sin2: Any, cosine: Any, cosine_double: Any) -> tuple[Any, Any]:
    """Compute the factor (1 + cos^2 2 theta) / (sin^2 theta cos theta) of the intensity of powder reflections.

    Args:
        sin2: sin^2 theta of one reflection or of several; whoever asks knows the three from an angle or from |g|.
        cosine: cos theta.
        cosine_double: cos 2 theta.

    Returns:
        Numerator and denominator: which product is rounded first is left to the caller, and stored patterns hold it.
    """
    return 1.0 + cosine_double**2, sin2 * cosine


@njit(cache=True)
def reflection_lines(reciprocal: FloatArray, g_stop: float) -> IntArray:
    """List the lines of reflections along h that cross the sphere, in one Friedel half without the origin.

    Args:
        reciprocal: (3, 3) lower triangular, 1/angstrom.
        g_stop: radius of the sphere.

    Returns:
        (n_lines, 4) k, l, first h, last h.
    """
    t00, t10, t11 = reciprocal[0, 0], reciprocal[1, 0], reciprocal[1, 1]
    t20, t21, t22 = reciprocal[2, 0], reciprocal[2, 1], reciprocal[2, 2]
    l_max = int(g_stop / t22)
    lines = np.empty(((l_max + 1) * (int(2.0 * g_stop / t11) + 2), 4), dtype=np.int64)
    count = 0
    for ell in range(l_max + 1):
        rest_z = max(g_stop * g_stop - (ell * t22) ** 2, 0.0)
        reach_k = np.sqrt(rest_z) / t11
        center_k = ell * t21 / t11
        k_first = 0 if ell == 0 else int(np.ceil(-reach_k - center_k))
        for k in range(k_first, int(np.floor(reach_k - center_k)) + 1):
            rest_y = max(rest_z - (k * t11 + ell * t21) ** 2, 0.0)
            reach_h = np.sqrt(rest_y) / t00
            center_h = (k * t10 + ell * t20) / t00
            h_first = 1 if ell == 0 and k == 0 else int(np.ceil(-reach_h - center_h))
            h_last = int(np.floor(reach_h - center_h))
            if h_last >= h_first:
                lines[count] = (k, ell, h_first, h_last)
                count += 1
    return lines[:count]


@njit(cache=True, fastmath=REORDERED_SUMS)
def structure_factors(  # noqa: PLR0917  compiled code takes plain positional arrays
    reciprocal: FloatArray,
    lines: IntArray,
    frac_coords: FloatArray,
    occupancy: FloatArray,
    first: IntArray,
    elements: IntArray,
    form_factor: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum the structure factors of all reflections on the lines.

    The phase of an atom on a line is its phase at h = 0 times a tabulated exp(2 pi i h x): no trigonometric function is
    called for a reflection, and the innermost loop runs over contiguous memory.

    Args:
        reciprocal: (3, 3) lower triangular, 1/angstrom.
        lines: (n_lines, 4) from `reflection_lines`.
        frac_coords: (n_entries, 3), entries sorted by element.
        occupancy: (n_entries,).
        first: (n_elements + 1,) where the entries of each element begin, then n_entries.
        elements: (n_elements,) atomic numbers.
        form_factor: (n_elements, 4, 2).

    Returns:
        Miller indices (n_reflections, 3) as floats, |g|^2 in 1/angstrom^2 and |F|^2.
    """
    largest = np.array([max(-lines[:, 2].min(), lines[:, 3].max()), np.abs(lines[:, 0]).max(), lines[:, 1].max()])
    h_table = _phase_table(frac_coords[:, 0], largest[0])
    k_table = _phase_table(frac_coords[:, 1], largest[1])
    l_table = _phase_table(frac_coords[:, 2], largest[2])
    h_re, h_im = h_table.real.copy(), h_table.imag.copy()
    n_line = 2 * largest[0] + 1
    part_re, part_im = np.empty(n_line), np.empty(n_line)
    n_reflections = (lines[:, 3] - lines[:, 2] + 1).sum()
    hkl, g2, f2 = np.empty((n_reflections, 3)), np.empty(n_reflections), np.empty(n_reflections)
    stop = 0
    for line in range(lines.shape[0]):
        k, ell, h_first, h_last = lines[line]
        length = h_last - h_first + 1
        begin, stop = stop, stop + length
        offset = h_first + largest[0]
        y = k * reciprocal[1, 1] + ell * reciprocal[2, 1]
        z = ell * reciprocal[2, 2]
        total_re, total_im = np.zeros(length), np.zeros(length)
        for m in range(length):
            hkl[begin + m] = (h_first + m, k, ell)
            x = (h_first + m) * reciprocal[0, 0] + k * reciprocal[1, 0] + ell * reciprocal[2, 0]
            g2[begin + m] = x * x + y * y + z * z
        for element in range(elements.shape[0]):
            part_re[:length] = 0.0
            part_im[:length] = 0.0
            for j in range(first[element], first[element + 1]):
                phase = occupancy[j] * k_table[j, k + largest[1]] * l_table[j, ell + largest[2]]
                p_re, p_im = phase.real, phase.imag
                for m in range(length):
                    part_re[m] += p_re * h_re[j, offset + m] - p_im * h_im[j, offset + m]
                    part_im[m] += p_re * h_im[j, offset + m] + p_im * h_re[j, offset + m]
            for m in range(length):
                scattering = _form_factor(elements[element], form_factor[element], 0.25 * g2[begin + m])
                total_re[m] += scattering * part_re[m]
                total_im[m] += scattering * part_im[m]
        for m in range(length):
            f2[begin + m] = total_re[m] * total_re[m] + total_im[m] * total_im[m]
    return hkl, g2, f2


@njit(cache=True, fastmath=REORDERED_SUMS)
def _form_factor(atomic_number: int, fit: FloatArray, s2: float) -> float:
    """Evaluate the fit at s^2 = (sin(theta) / wavelength)^2."""
    shells = 0.0
    for shell in range(4):
        shells += fit[shell, 0] * np.exp(-fit[shell, 1] * s2)
    return atomic_number - FORM_FACTOR_PREFACTOR * s2 * shells


@njit(cache=True)
def _phase_table(coordinate: FloatArray, largest: int) -> npt.NDArray[np.complex128]:
    """Tabulate exp(2 pi i n x), one row an atom, one column for each n from -largest to largest."""
    table = np.empty((coordinate.shape[0], 2 * largest + 1), dtype=np.complex128)
    for j in range(coordinate.shape[0]):
        turn = 2.0 * np.pi * (coordinate[j] - np.floor(coordinate[j]))
        step = complex(np.cos(turn), np.sin(turn))
        value = complex(1.0, 0.0)
        table[j, largest] = value
        for n in range(1, largest + 1):
            value *= step
            table[j, largest + n] = value
            table[j, largest - n] = value.conjugate()
    return table
