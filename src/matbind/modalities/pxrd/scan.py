"""One powder scan: what the readers of the formats find, and the measured pattern that is made of it."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np

from matbind.base.config import STRAIGHT_BACK_DEG
from matbind.materials.structure import FloatArray
from matbind.materials.wavelengths import CUKA_ANGSTROM
from matbind.modalities.pxrd.wavelength import parse_wavelength

Axis = Literal["two_theta", "q", "d"]
FEWEST_POINTS = 50
MOST_REPEATED = 0.5  # share of steps without progress; rounded angles repeat now and then, other columns all the time


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A scan as a file holds it."""

    position: FloatArray  # (n_points,) degrees two theta, Q in 1 / angstrom or d in angstrom, as `axis` says
    intensity: FloatArray  # (n_points,) counts, counts per second or anything proportional
    wavelength: tuple[float, str] | None = None  # angstrom, and the words of the file that say so
    axis: Axis = "two_theta"  # what the positions are
    notes: tuple[str, ...] = ()  # what was decided while reading, such as which scan of several was taken
    places: tuple[str, ...] = ()  # where each point stands, such as `line 12`; for messages


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPattern:
    """A measured powder pattern."""

    two_theta_deg: FloatArray  # (n_points,) strictly ascending, between 0 and 180
    intensity: FloatArray  # (n_points,) finite, on the scale of the file; below zero where a background was subtracted
    wavelength_angstrom: float  # that the angles belong to
    note: str  # where the wavelength is from, and what else was decided while reading; one sentence or several


def first_of(scans: Sized, noun: str = "scans") -> tuple[str, ...]:
    """Return the note that the first of several scans was read; none for a single one."""
    return () if len(scans) == 1 else (f"the first of {len(scans)} {noun}",)


def measured_pattern(scan: Scan, *, wavelength: str | float | None) -> MeasuredPattern:
    """Check a scan and turn it into angles.

    Args:
        scan: of a file.
        wavelength: used where the file names none; see :func:`matbind.modalities.pxrd.wavelength.parse_wavelength`.

    Raises:
        ValueError: if neither the file nor the argument gives a wavelength, there are fewer than 50 points, a value is
            not finite, the positions do not run in one direction or are none, or there is no intensity above zero.
    """
    position, intensity = np.asarray(scan.position, dtype=float), np.asarray(scan.intensity, dtype=float)
    if position.shape != intensity.shape or position.ndim != 1:
        raise ValueError(f"it holds {position.size} positions and {intensity.size} intensities, expected as many")
    if len(position) < FEWEST_POINTS:
        raise ValueError(f"the scan has {len(position)} points, expected at least {FEWEST_POINTS}")
    wrong = ~(np.isfinite(position) & np.isfinite(intensity))
    if wrong.any():
        i = int(wrong.argmax())
        place = scan.places[i] if scan.places else f"point {i + 1}"
        raise ValueError(f"{place} holds a value that is not finite, expected a position and an intensity")
    position, intensity = _ascending(position, intensity)
    if not (intensity > 0).any():
        raise ValueError("the scan has no intensity above zero")
    angstrom, source = _wavelength(scan, wavelength)
    angle, intensity = _angles(position, intensity, scan.axis, angstrom)
    return MeasuredPattern(angle, intensity, angstrom, "; ".join((source, *scan.notes)))


def _wavelength(scan: Scan, given: str | float | None) -> tuple[float, str]:
    if scan.wavelength is not None:
        angstrom, words = scan.wavelength
        parse_wavelength(angstrom)
        return angstrom, f"wavelength {angstrom:g} A from the file ({words})"
    if given is not None:
        angstrom = parse_wavelength(given)
        return angstrom, f"wavelength {angstrom:g} A as given ({given})"
    if scan.axis != "two_theta":  # nothing is guessed: Q and d hold for every wavelength
        return CUKA_ANGSTROM, f"positions in {scan.axis}, as angles for {CUKA_ANGSTROM} A"
    raise ValueError(
        "the file names no wavelength; give it as an option, such as CuKa or 1.5406, or write a line such as "
        "'# Wavelength = 1.5406' above the data"
    )


def _ascending(position: FloatArray, intensity: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bring a scan to ascending order, points at the same position averaged."""
    if position[-1] < position[0]:
        position, intensity = position[::-1], intensity[::-1]
    steps = np.diff(position)
    if (steps < 0).any():
        at = float(position[int((steps < 0).argmax())])
        raise ValueError(f"its positions turn back at {at:g}, expected them to run in one direction")
    if np.mean(steps == 0) > MOST_REPEATED:
        raise ValueError(f"most of its points repeat the position before ({position[0]:g} ...), expected a scan")
    position, group = np.unique(position, return_inverse=True)
    return position, np.bincount(group, weights=intensity) / np.bincount(group)


def _angles(position: FloatArray, intensity: FloatArray, axis: Axis, angstrom: float) -> tuple[FloatArray, FloatArray]:
    if axis == "two_theta":
        if position[-1] > STRAIGHT_BACK_DEG:
            raise ValueError(f"its angles reach {position[-1]:g}, expected degrees two theta between 0 and 180")
        kept = (position > 0) & (position < STRAIGHT_BACK_DEG)
        angle = position
    else:
        if position[0] <= 0:
            raise ValueError(f"its {axis} values begin at {position[0]:g}, expected them above 0")
        sine = position * angstrom / (4 * np.pi) if axis == "q" else angstrom / (2 * position)
        kept = sine < 1
        angle = 2 * np.degrees(np.arcsin(np.minimum(sine, 1)))
    angle, intensity = angle[kept], intensity[kept]
    order = np.argsort(angle)
    if len(angle) < FEWEST_POINTS:
        raise ValueError(
            f"only {len(angle)} of its points lie between 0 and 180 degrees, expected at least {FEWEST_POINTS}"
        )
    return angle[order], intensity[order]
