"""What X-rays do at atoms: wavelengths of laboratory tubes, form factors, structure factors, polarisation.

Source: the fits f(s) = Z - 41.78214 s^2 sum_i a_i exp(-b_i s^2), s = sin(theta) / wavelength, of De Graef and McHenry,
Structure of Materials (2nd edition, chapter 12), with the values that pymatgen distributes (MIT licence).
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matbind.materials.structure import FloatArray, IntArray

CUKA_ANGSTROM = 1.54184  # K-alpha1 and K-alpha2 not resolved
CUKA1_ANGSTROM = 1.54060  # 1.540593 to four decimals, the usual convention; pymatgen has 1.54056

WAVELENGTH_ANGSTROM = MappingProxyType(
    {
        "CuKa": CUKA_ANGSTROM,
        "CuKa1": CUKA1_ANGSTROM,
        "CuKa2": 1.54439,
        "CuKb1": 1.39222,
        "MoKa": 0.71073,
        "MoKa1": 0.70930,
        "CoKa": 1.79026,
        "CoKa1": 1.78896,
        "FeKa": 1.93735,
        "FeKa1": 1.93604,
        "CrKa": 2.29100,
        "CrKa1": 2.28970,
        "AgKa": 0.560885,
        "AgKa1": 0.559421,
    }
)

FORM_FACTOR_PREFACTOR = 41.78214

# LLVM flags for compiled sums: they may be reordered, but NaN and infinity keep their meaning.
REORDERED_SUMS = {"reassoc", "contract", "nsz", "arcp"}

# Row Z - 1: a1, b1, a2, b2, a3, b3, a4, b4 of the element with atomic number Z.
_COEFFICIENTS = (
    (0.202, 30.868, 0.244, 8.544, 0.082, 1.273, 0.0, 0.0),  # H
    (0.091, 18.183, 0.181, 6.212, 0.11, 1.803, 0.036, 0.284),  # He
    (1.611, 107.638, 1.246, 30.48, 0.326, 4.533, 0.099, 0.495),  # Li
    (1.25, 60.804, 1.334, 18.591, 0.36, 3.653, 0.106, 0.416),  # Be
    (0.945, 46.444, 1.312, 14.178, 0.419, 3.223, 0.116, 0.377),  # B
    (0.731, 36.995, 1.195, 11.297, 0.456, 2.814, 0.125, 0.346),  # C
    (0.572, 28.847, 1.043, 9.054, 0.465, 2.421, 0.131, 0.317),  # N
    (0.455, 23.78, 0.917, 7.622, 0.472, 2.144, 0.138, 0.296),  # O
    (0.387, 20.239, 0.811, 6.609, 0.475, 1.931, 0.146, 0.279),  # F
    (0.303, 17.64, 0.72, 5.86, 0.475, 1.762, 0.153, 0.266),  # Ne
    (2.241, 108.004, 1.333, 24.505, 0.907, 3.391, 0.286, 0.435),  # Na
    (2.268, 73.67, 1.803, 20.175, 0.839, 3.013, 0.289, 0.405),  # Mg
    (2.276, 72.322, 2.428, 19.773, 0.858, 3.08, 0.317, 0.408),  # Al
    (2.129, 57.775, 2.533, 16.476, 0.835, 2.88, 0.322, 0.386),  # Si
    (1.888, 44.876, 2.469, 13.538, 0.805, 2.642, 0.32, 0.361),  # P
    (1.659, 36.65, 2.386, 11.488, 0.79, 2.469, 0.321, 0.34),  # S
    (1.452, 30.935, 2.292, 9.98, 0.787, 2.234, 0.322, 0.323),  # Cl
    (1.274, 26.682, 2.19, 8.813, 0.793, 2.219, 0.326, 0.307),  # Ar
    (3.951, 137.075, 2.545, 22.402, 1.98, 4.532, 0.482, 0.434),  # K
    (4.47, 99.523, 2.971, 22.696, 1.97, 4.195, 0.482, 0.417),  # Ca
    (3.966, 88.96, 2.917, 20.606, 1.925, 3.856, 0.48, 0.399),  # Sc
    (3.565, 81.982, 2.818, 19.049, 1.893, 3.59, 0.483, 0.386),  # Ti
    (3.245, 76.379, 2.698, 17.726, 1.86, 3.363, 0.486, 0.374),  # V
    (2.307, 78.405, 2.334, 15.785, 1.823, 3.157, 0.49, 0.364),  # Cr
    (2.747, 67.786, 2.456, 15.674, 1.792, 3.0, 0.498, 0.357),  # Mn
    (2.544, 64.424, 2.343, 14.88, 1.759, 2.854, 0.506, 0.35),  # Fe
    (2.367, 61.431, 2.236, 14.18, 1.724, 2.725, 0.515, 0.344),  # Co
    (2.21, 58.727, 2.134, 13.553, 1.689, 2.609, 0.524, 0.339),  # Ni
    (1.579, 62.94, 1.82, 12.453, 1.658, 2.504, 0.532, 0.333),  # Cu
    (1.942, 54.162, 1.95, 12.518, 1.619, 2.416, 0.543, 0.33),  # Zn
    (2.321, 65.602, 2.486, 15.458, 1.688, 2.581, 0.599, 0.351),  # Ga
    (2.447, 55.893, 2.702, 14.393, 1.616, 2.446, 0.601, 0.342),  # Ge
    (2.399, 45.718, 2.79, 12.817, 1.529, 2.28, 0.594, 0.328),  # As
    (2.298, 38.83, 2.854, 11.536, 1.456, 2.146, 0.59, 0.316),  # Se
    (2.166, 33.899, 2.904, 10.497, 1.395, 2.041, 0.589, 0.307),  # Br
    (2.034, 29.999, 2.927, 9.598, 1.342, 1.952, 0.589, 0.299),  # Kr
    (4.776, 140.782, 3.859, 18.991, 2.234, 3.701, 0.868, 0.419),  # Rb
    (5.848, 104.972, 4.003, 19.367, 2.342, 3.737, 0.88, 0.414),  # Sr
    (4.129, 27.548, 3.012, 5.088, 1.179, 0.591, 0.0, 0.0),  # Y
    (4.105, 28.492, 3.144, 5.277, 1.229, 0.601, 0.0, 0.0),  # Zr
    (4.237, 27.415, 3.105, 5.074, 1.234, 0.593, 0.0, 0.0),  # Nb
    (3.12, 72.464, 3.906, 14.642, 2.361, 3.237, 0.85, 0.366),  # Mo
    (4.318, 28.246, 3.27, 5.148, 1.287, 0.59, 0.0, 0.0),  # Tc
    (4.358, 27.881, 3.298, 5.179, 1.323, 0.594, 0.0, 0.0),  # Ru
    (4.431, 27.911, 3.343, 5.153, 1.345, 0.592, 0.0, 0.0),  # Rh
    (4.436, 28.67, 3.454, 5.269, 1.383, 0.595, 0.0, 0.0),  # Pd
    (2.036, 61.497, 3.272, 11.824, 2.511, 2.846, 0.837, 0.327),  # Ag
    (2.574, 55.675, 3.259, 11.838, 2.547, 2.784, 0.838, 0.322),  # Cd
    (3.153, 66.649, 3.557, 14.449, 2.818, 2.976, 0.884, 0.335),  # In
    (3.45, 59.104, 3.735, 14.179, 2.118, 2.855, 0.877, 0.327),  # Sn
    (3.564, 50.487, 3.844, 13.316, 2.687, 2.691, 0.864, 0.316),  # Sb
    (4.785, 27.999, 3.688, 5.083, 1.5, 0.581, 0.0, 0.0),  # Te
    (3.473, 39.441, 4.06, 11.816, 2.522, 2.415, 0.84, 0.298),  # I
    (3.366, 35.509, 4.147, 11.117, 2.443, 2.294, 0.829, 0.289),  # Xe
    (6.062, 155.837, 5.986, 19.695, 3.303, 3.335, 1.096, 0.379),  # Cs
    (7.821, 117.657, 6.004, 18.778, 3.28, 3.263, 1.103, 0.376),  # Ba
    (4.94, 28.716, 3.968, 5.245, 1.663, 0.594, 0.0, 0.0),  # La
    (5.007, 28.283, 3.98, 5.183, 1.678, 0.589, 0.0, 0.0),  # Ce
    (5.085, 28.588, 4.043, 5.143, 1.684, 0.581, 0.0, 0.0),  # Pr
    (5.151, 28.304, 4.075, 5.073, 1.683, 0.571, 0.0, 0.0),  # Nd
    (5.201, 28.079, 4.094, 5.081, 1.719, 0.576, 0.0, 0.0),  # Pm
    (5.255, 28.016, 4.113, 5.037, 1.743, 0.577, 0.0, 0.0),  # Sm
    (6.267, 100.298, 4.844, 16.066, 3.202, 2.98, 1.2, 0.367),  # Eu
    (5.225, 29.158, 4.314, 5.259, 1.827, 0.586, 0.0, 0.0),  # Gd
    (5.272, 29.046, 4.347, 5.226, 1.844, 0.585, 0.0, 0.0),  # Tb
    (5.332, 28.888, 4.37, 5.198, 1.863, 0.581, 0.0, 0.0),  # Dy
    (5.376, 28.773, 4.403, 5.174, 1.884, 0.582, 0.0, 0.0),  # Ho
    (5.436, 28.655, 4.437, 5.117, 1.891, 0.577, 0.0, 0.0),  # Er
    (5.441, 29.149, 4.51, 5.264, 1.956, 0.59, 0.0, 0.0),  # Tm
    (5.529, 28.927, 4.533, 5.144, 1.945, 0.578, 0.0, 0.0),  # Yb
    (5.553, 28.907, 4.58, 5.16, 1.969, 0.577, 0.0, 0.0),  # Lu
    (5.588, 29.001, 4.619, 5.164, 1.997, 0.579, 0.0, 0.0),  # Hf
    (5.659, 28.807, 4.63, 5.114, 2.014, 0.578, 0.0, 0.0),  # Ta
    (5.709, 28.782, 4.677, 5.084, 2.019, 0.572, 0.0, 0.0),  # W
    (5.695, 28.968, 4.74, 5.156, 2.064, 0.575, 0.0, 0.0),  # Re
    (5.75, 28.933, 4.773, 5.139, 2.079, 0.573, 0.0, 0.0),  # Os
    (5.754, 29.159, 4.851, 5.152, 2.096, 0.57, 0.0, 0.0),  # Ir
    (5.803, 29.016, 4.87, 5.15, 2.127, 0.572, 0.0, 0.0),  # Pt
    (2.388, 42.866, 4.226, 9.743, 2.689, 2.264, 1.255, 0.307),  # Au
    (2.682, 42.822, 4.241, 9.856, 2.755, 2.295, 1.27, 0.307),  # Hg
    (5.932, 29.086, 4.972, 5.126, 2.195, 0.572, 0.0, 0.0),  # Tl
    (3.51, 52.914, 4.552, 11.884, 3.154, 2.571, 1.359, 0.321),  # Pb
    (3.841, 50.261, 4.679, 11.999, 3.192, 2.56, 1.363, 0.318),  # Bi
    (6.07, 28.075, 4.997, 4.999, 2.232, 0.563, 0.0, 0.0),  # Po
    (6.133, 28.047, 5.031, 4.957, 2.239, 0.558, 0.0, 0.0),  # At
    (4.078, 38.406, 4.978, 11.02, 3.096, 2.355, 1.326, 0.299),  # Rn
    (6.201, 28.2, 5.121, 4.954, 2.275, 0.556, 0.0, 0.0),  # Fr
    (6.215, 28.382, 5.17, 5.002, 2.316, 0.562, 0.0, 0.0),  # Ra
    (6.278, 28.323, 5.195, 4.949, 2.321, 0.557, 0.0, 0.0),  # Ac
    (6.264, 28.651, 5.263, 5.03, 2.367, 0.563, 0.0, 0.0),  # Th
    (6.306, 28.688, 5.303, 5.026, 2.386, 0.561, 0.0, 0.0),  # Pa
    (6.767, 85.951, 6.729, 15.642, 4.014, 2.936, 1.561, 0.335),  # U
    (6.323, 29.142, 5.414, 5.096, 2.453, 0.568, 0.0, 0.0),  # Np
    (6.415, 28.836, 5.419, 5.022, 2.449, 0.561, 0.0, 0.0),  # Pu
    (6.378, 29.156, 5.495, 5.102, 2.495, 0.565, 0.0, 0.0),  # Am
    (6.46, 28.396, 5.469, 4.97, 2.471, 0.554, 0.0, 0.0),  # Cm
    (6.502, 28.375, 5.478, 4.975, 2.51, 0.561, 0.0, 0.0),  # Bk
    (6.548, 28.461, 5.526, 4.965, 2.52, 0.557, 0.0, 0.0),  # Cf
)

HEAVIEST_TABULATED = len(_COEFFICIENTS)


@lru_cache(maxsize=1)
def form_factor_table() -> FloatArray:
    """Return the fit parameters as a read-only array.

    Returns:
        (n_elements, 4, 2) pairs a (angstrom) and b (square angstrom); row Z - 1 belongs to atomic number Z.
    """
    table = np.array(_COEFFICIENTS, dtype=np.float64).reshape(-1, 4, 2)
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
    hkl = np.empty((n_reflections, 3))
    g2 = np.empty(n_reflections)
    f2 = np.empty(n_reflections)
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
