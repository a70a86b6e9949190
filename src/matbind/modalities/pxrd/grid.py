"""A measured pattern on the angles of a data set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import FEWEST_POINTS, MeasuredPattern
from matbind.modalities.pxrd.settings import Grid

GAP_STEPS, GAP_DEG = 5.0, 0.5  # neighbouring points further apart than both are two ranges with nothing between


def at_wavelength(two_theta_deg: FloatArray, *, wavelength_angstrom: float, wanted_angstrom: float) -> FloatArray:
    """Compute the angles of the same lattice spacings at another wavelength; NaN where none fulfils Bragg's law."""
    sine = np.sin(np.radians(two_theta_deg) / 2) * (wanted_angstrom / wavelength_angstrom)
    return np.where(sine < 1, 2 * np.degrees(np.arcsin(np.minimum(sine, 1))), np.nan)


def on_grid(pattern: MeasuredPattern, grid: Grid) -> npt.NDArray[np.float32]:
    """Resample a measured pattern.

    Angles move by Bragg's law if the wavelength differs; intensities keep their height. Where the points are closer
    than the grid's, a grid point takes the mean of the curve within half a step to both sides, so that no peak falls
    between two points; where they are further apart it is interpolated linearly. What lies outside of the measured
    range, or in a gap of it, is NaN. Intensities below zero, as background subtraction leaves them, become zero, and
    the highest becomes 1.

    Args:
        pattern: as read.
        grid: angles and wavelength of the data set.

    Returns:
        (n_points,) in [0, 1], NaN where nothing was measured.

    Raises:
        ValueError: if fewer than 50 points lie within the grid's range, there is no intensity above zero in it, or the
            lowest intensity is further below zero than the highest is above.
    """
    start, stop = grid.two_theta_deg
    angle = at_wavelength(
        pattern.two_theta_deg, wavelength_angstrom=pattern.wavelength_angstrom, wanted_angstrom=grid.wavelength_angstrom
    )
    known = np.isfinite(angle)
    angle, intensity = angle[known], pattern.intensity[known]
    inside = (angle >= start) & (angle <= stop)
    if inside.sum() < FEWEST_POINTS:
        raise ValueError(
            f"only {inside.sum()} of its points lie between {start:g} and {stop:g} degrees two theta at "
            f"{grid.wavelength_angstrom:g} A, expected at least {FEWEST_POINTS}"
        )
    low, high = float(intensity[inside].min()), float(intensity[inside].max())
    if high <= 0:
        raise ValueError(f"it has no intensity above zero between {start:g} and {stop:g} degrees two theta")
    if -low > high:
        raise ValueError(f"its intensities reach from {low:g} to {high:g}, expected noise around zero at the lowest")
    points = np.linspace(start, stop, grid.n_points)
    resampled = _resampled(angle, intensity, points)
    resampled = np.where(np.isnan(resampled), np.nan, np.maximum(resampled, 0.0))
    highest = np.nanmax(resampled)
    if not highest > 0:
        raise ValueError(f"its mean intensity is not above zero between {start:g} and {stop:g} degrees two theta")
    return np.asarray(resampled / highest, dtype=np.float32)


def _resampled(angle: FloatArray, intensity: FloatArray, points: FloatArray) -> FloatArray:
    steps = np.diff(angle)
    typical = float(np.median(steps))
    spacing = float(points[1] - points[0])
    if typical < spacing * (1 - 1e-6):
        left = np.clip(points - spacing / 2, angle[0], angle[-1])
        right = np.clip(points + spacing / 2, angle[0], angle[-1])
        width = right - left
        area = _integral(angle, intensity, right) - _integral(angle, intensity, left)
        values = np.where(width > 0, area / np.maximum(width, 1e-12), np.interp(points, angle, intensity))
    else:
        values = np.interp(points, angle, intensity)
    values[(points < angle[0] - typical / 2) | (points > angle[-1] + typical / 2)] = np.nan
    for i in np.flatnonzero(steps > max(GAP_STEPS * typical, GAP_DEG)):
        values[(points > angle[i] + typical / 2) & (points < angle[i + 1] - typical / 2)] = np.nan
    return values


def _integral(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """Integrate the curve through the points, from the first of them to each place within them."""
    areas = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    return np.asarray(areas[i] + (at - x[i]) * (y[i] + np.interp(at, x, y)) / 2)
