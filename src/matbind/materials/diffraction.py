"""Powder diffraction patterns from crystals: reflections by the kinematic theory, then broadened peaks.

The reflections equal those of pymatgen's `XRDCalculator(symprec=0)`, peak for peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from matbind.base.config import STRAIGHT_BACK_DEG
from matbind.materials.scattering import (
    HEAVIEST_TABULATED,
    REORDERED_SUMS,
    form_factor_table,
    lorentz_polarisation,
    reflection_lines,
    structure_factors,
)
from matbind.materials.structure import FloatArray, Structure, lower_triangular
from matbind.materials.wavelengths import CUKA_ANGSTROM

MERGE_STEP_DEG = 1e-5  # reflections in the same step of two theta are one peak
FAINTEST_PERCENT = 1e-3  # peaks below this share of the strongest are left out
ABSENT_SHARE = 1e-13  # of the strongest reflection: systematically absent but for rounding
EQUIVALENT_MARGIN = 1.000001  # equivalent reflections differ by rounding only: the first of them stands for the peak
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
TAIL_SIGMA = 4.0
SCHERRER = 0.9  # shape constant
NARROWEST_PEAK_STEPS = 1.2  # a Gaussian of this FWHM, in grid steps, still samples to its area within 2 %
EVEN_GRID_TOLERANCE = 1e-3  # of a step


@dataclass(frozen=True, slots=True, eq=False)
class Reflections:
    """The peaks of a powder pattern before broadening, ascending in angle.

    Args:
        g_vector: (n_peaks, 3) scattering vector of the strongest reflection of each peak in 1/angstrom, |g| = 1/d.
        two_theta_deg: (n_peaks,).
        intensity: (n_peaks,) with multiplicity and Lorentz-polarisation factor, the strongest is 100.
    """

    g_vector: npt.NDArray[np.float32]
    two_theta_deg: FloatArray
    intensity: FloatArray


def reflections(
    structure: Structure,
    *,
    wavelength_angstrom: float = CUKA_ANGSTROM,
    two_theta_deg: tuple[float, float] = (5.0, 90.0),
) -> Reflections:
    """Compute positions and integrated intensities of the peaks of a powder pattern.

    Kinematic theory without thermal motion, absorption or anomalous dispersion; mixed sites scatter by occupancy.

    Args:
        structure: the crystal.
        wavelength_angstrom: of the X-rays.
        two_theta_deg: first and last angle of the window.

    Returns:
        All peaks of at least 0.001 % of the strongest.

    Raises:
        ValueError: the wavelength or window makes no sense, an element has no form factor, or the window is empty.

    Source: De Graef and McHenry, Structure of Materials, chapters 11 and 12.
    """
    start_deg, stop_deg = two_theta_deg
    if not 0.0 <= start_deg < stop_deg < STRAIGHT_BACK_DEG:
        raise ValueError(f"two_theta_deg is ({start_deg}, {stop_deg}), expected 0 <= start < stop < 180.")
    _check_positive(wavelength_angstrom, name="wavelength_angstrom")
    heaviest = int(structure.atomic_number.max())
    if heaviest > HEAVIEST_TABULATED:
        raise ValueError(
            f"Atomic number {heaviest} has no X-ray form factor; they are known up to {HEAVIEST_TABULATED}."
        )

    order = np.argsort(structure.atomic_number, kind="stable")
    elements, first = np.unique(structure.atomic_number[order], return_index=True)
    reciprocal = np.asarray(np.linalg.inv(structure.lattice).T, dtype=np.float64)
    triangular = lower_triangular(reciprocal)
    g_start, g_stop = (2.0 * np.sin(np.radians(angle / 2.0)) / wavelength_angstrom for angle in two_theta_deg)
    lines = reflection_lines(triangular, g_stop)
    hkl = np.empty((0, 3))
    if len(lines):
        all_hkl, g2, f2 = structure_factors(
            triangular,
            lines,
            structure.frac_coords[structure.site_index[order]],
            structure.occupancy[order],
            np.append(first, len(order)),
            elements,
            form_factor_table()[elements - 1],
        )
        hkl, peak_deg, intensity = _merge(all_hkl, g2, f2, g_start, wavelength_angstrom)
    if not len(hkl):
        raise ValueError(
            f"No reflection lies between {start_deg} and {stop_deg} degrees two theta at {wavelength_angstrom} A."
        )
    return Reflections(g_vector=(hkl @ reciprocal).astype(np.float32), two_theta_deg=peak_deg, intensity=intensity)


def scherrer_fwhm_deg(
    two_theta_deg: npt.ArrayLike, *, crystallite_size_nm: float, wavelength_angstrom: float = CUKA_ANGSTROM
) -> FloatArray:
    """Compute the width of peaks from the size of the crystallites.

    Args:
        two_theta_deg: (n_peaks,) peak positions.
        crystallite_size_nm: mean size of the coherently scattering domains.
        wavelength_angstrom: of the X-rays.

    Returns:
        (n_peaks,) full widths at half maximum in degrees two theta.

    Raises:
        ValueError: the size or wavelength is not positive.

    Source: Scherrer's equation, FWHM (radians) = 0.9 wavelength / (size cos theta).
    """
    _check_positive(crystallite_size_nm, name="crystallite_size_nm")
    _check_positive(wavelength_angstrom, name="wavelength_angstrom")
    theta = np.radians(np.asarray(two_theta_deg, dtype=np.float64)) / 2.0
    width: FloatArray = np.degrees(SCHERRER * wavelength_angstrom / (10.0 * crystallite_size_nm * np.cos(theta)))
    return width


def pattern_grid(*, start_deg: float = 5.0, stop_deg: float = 90.0, n_points: int = 8501) -> FloatArray:
    """Return evenly spaced angles two theta in degrees, both ends included, shape (n_points,).

    Raises:
        ValueError: fewer than two points, or the angles do not ascend within 0 to 180 degrees.
    """
    if not 0.0 <= start_deg < stop_deg <= STRAIGHT_BACK_DEG:
        raise ValueError(f"The grid runs from {start_deg} to {stop_deg} degrees, expected 0 <= start < stop <= 180.")
    if n_points < 2:  # noqa: PLR2004
        raise ValueError(f"n_points is {n_points}, expected at least 2.")
    return np.linspace(start_deg, stop_deg, n_points)


def broaden(
    two_theta_deg: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    grid_deg: FloatArray,
    fwhm_deg: npt.ArrayLike,
) -> npt.NDArray[np.float32]:
    """Sum Gaussian peaks whose AREA, not height, is the given intensity.

    Broader peaks are therefore lower, as in a measurement. Tails are cut at four standard deviations. A peak too narrow
    for the grid is drawn 1.2 grid steps wide, so that it keeps its area instead of falling between two points.

    Args:
        two_theta_deg: (n_peaks,) positions in degrees; those outside the grid contribute their tails.
        intensity: (n_peaks,) integrated intensities, not negative.
        grid_deg: (n_points,) evenly spaced ascending angles in degrees.
        fwhm_deg: (n_peaks,) full widths at half maximum in degrees, or one width for all.

    Returns:
        (n_points,) pattern; its maximum is exactly 1.

    Raises:
        ValueError: lengths differ, a value is out of range, the grid is uneven, or nothing falls on the grid.

    Source: Schopmans et al., Digital Discovery 2, 1414 (2023), simulation of powder patterns.
    """
    center = np.atleast_1d(np.asarray(two_theta_deg, dtype=np.float64))
    area = np.atleast_1d(np.asarray(intensity, dtype=np.float64))
    width = np.asarray(fwhm_deg, dtype=np.float64)
    if center.ndim != 1 or center.shape != area.shape or width.shape not in {(), center.shape}:
        raise ValueError(
            f"two_theta_deg, intensity and fwhm_deg have shapes {center.shape}, {area.shape} and {width.shape}, "
            "expected one value a peak."
        )
    if not (np.isfinite(center).all() and np.isfinite(area).all() and np.isfinite(width).all()):
        raise ValueError("two_theta_deg, intensity or fwhm_deg holds a value that is not finite.")
    if (area < 0).any() or (width <= 0).any():
        raise ValueError("intensity must not be negative and fwhm_deg must be positive.")
    step_deg = _grid_step(grid_deg)
    sigma = np.maximum(width, NARROWEST_PEAK_STEPS * step_deg) / FWHM_PER_SIGMA
    pattern = _gaussians(
        center, area, np.broadcast_to(sigma, center.shape).copy(), float(grid_deg[0]), step_deg, len(grid_deg)
    )
    maximum = pattern.max()
    if maximum <= 0.0:
        raise ValueError(f"No peak falls on the grid from {grid_deg[0]} to {grid_deg[-1]} degrees.")
    pattern /= maximum
    return np.asarray(pattern, dtype=np.float32)


def simulate_pattern(
    structure: Structure,
    *,
    crystallite_size_nm: float,
    wavelength_angstrom: float = CUKA_ANGSTROM,
    grid_deg: FloatArray | None = None,
) -> npt.NDArray[np.float32]:
    """Compute the powder pattern of a crystal with size broadening.

    Args:
        structure: the crystal.
        crystallite_size_nm: for Scherrer's equation.
        wavelength_angstrom: of the X-rays.
        grid_deg: (n_points,) as `pattern_grid` returns; by default its default, 8,501 points from 5 to 90 degrees.

    Returns:
        (n_points,) values between 0 and 1, the maximum is exactly 1.

    Raises:
        ValueError: as `reflections`, `scherrer_fwhm_deg` and `broaden` say.
    """
    grid = pattern_grid() if grid_deg is None else grid_deg
    _grid_step(grid)
    peaks = reflections(
        structure, wavelength_angstrom=wavelength_angstrom, two_theta_deg=(float(grid[0]), float(grid[-1]))
    )
    fwhm_deg = scherrer_fwhm_deg(
        peaks.two_theta_deg, crystallite_size_nm=crystallite_size_nm, wavelength_angstrom=wavelength_angstrom
    )
    return broaden(peaks.two_theta_deg, peaks.intensity, grid_deg=grid, fwhm_deg=fwhm_deg)


def _check_positive(value: float, *, name: str) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}, expected a positive number.")


def _grid_step(grid_deg: FloatArray) -> float:
    if grid_deg.ndim != 1 or len(grid_deg) < 2:  # noqa: PLR2004
        raise ValueError(f"grid_deg has shape {grid_deg.shape}, expected (n_points,) with at least two points.")
    step = float(grid_deg[-1] - grid_deg[0]) / (len(grid_deg) - 1)
    if not step > 0 or not np.abs(np.diff(grid_deg) - step).max() <= EVEN_GRID_TOLERANCE * step:
        raise ValueError("grid_deg must ascend in even steps.")
    return step


@njit(cache=True)
def _merge(
    hkl: FloatArray, g2: FloatArray, f2: FloatArray, g_start: float, wavelength: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weigh reflections, add those of one angle, drop faint peaks; return their indices, two theta and intensity."""
    sin2 = np.minimum(0.25 * wavelength * wavelength * g2, 1.0)
    numerator, denominator = lorentz_polarisation(sin2, np.sqrt(1.0 - sin2), 1.0 - 2.0 * sin2)
    intensity = f2 * numerator / denominator
    intensity[g2 < g_start * g_start] = 0.0
    kept = np.flatnonzero(intensity > ABSENT_SHARE * intensity.max())
    kept = kept[np.argsort(g2[kept])]
    peak_hkl, peak_angle = np.empty((kept.shape[0], 3)), np.empty(kept.shape[0])
    peak_intensity = np.empty(kept.shape[0])
    peak, last_key, best = -1, -1, 0.0
    for index in kept:
        angle = np.degrees(2.0 * np.arcsin(np.sqrt(sin2[index])))
        key = int(np.rint(angle / MERGE_STEP_DEG))
        if key != last_key:
            last_key = key
            best = 0.0
            peak += 1
            peak_intensity[peak] = 0.0
        peak_intensity[peak] += intensity[index]
        if intensity[index] > EQUIVALENT_MARGIN * best:
            best = intensity[index]
            peak_angle[peak] = angle
            peak_hkl[peak] = hkl[index]
    peak_intensity = peak_intensity[: peak + 1]
    strongest = peak_intensity.max() if peak >= 0 else 1.0
    visible = np.flatnonzero(100.0 * peak_intensity / strongest > FAINTEST_PERCENT)
    return peak_hkl[visible], peak_angle[visible], 100.0 * peak_intensity[visible] / strongest


@njit(cache=True, fastmath=REORDERED_SUMS)
def _gaussians(  # noqa: PLR0917
    center: FloatArray, area: FloatArray, sigma: FloatArray, start: float, step: float, n_points: int
) -> FloatArray:
    """Add area-normalised Gaussians to an even grid.

    On an even grid the ratio of successive values of a Gaussian is itself a geometric series, so a peak costs two
    multiplications a point instead of an exponential.
    """
    pattern = np.zeros(n_points)
    for peak in range(center.shape[0]):
        width = sigma[peak]
        begin = max(0, int(np.ceil((center[peak] - TAIL_SIGMA * width - start) / step)))
        end = min(n_points - 1, int(np.floor((center[peak] + TAIL_SIGMA * width - start) / step)))
        if end < begin:
            continue
        distance = start + begin * step - center[peak]
        inverse = 0.5 / (width * width)
        value = area[peak] / (width * np.sqrt(2.0 * np.pi)) * np.exp(-distance * distance * inverse)
        ratio = np.exp(-(2.0 * distance * step + step * step) * inverse)
        shrink = np.exp(-2.0 * step * step * inverse)
        for point in range(begin, end + 1):
            pattern[point] += value
            value *= ratio
            ratio *= shrink
    return pattern
