"""Powder patterns in columns of text: .xy, .xye, .dat, .txt, .csv."""

from __future__ import annotations

import re

import numpy as np

from matbind.base.text_columns import NUMBER, Columns, parse_columns
from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import Axis, Scan
from matbind.modalities.pxrd.wavelength import parse_wavelength, wavelength_in
from matbind.modalities.reading import json_object, numbers

TWO_THETA = re.compile(
    r"2[\s_.*-]*(?:theta|th\b|θ|ϑ)|two[\s_-]*theta|\btth\b|°2th|angle|diffraction angle", re.IGNORECASE
)
HALF = re.compile(r"^\W*(?:theta|θ|th|omega|ω)\b", re.IGNORECASE)
Q_AXIS = re.compile(
    r"^\W*(?:q|s_?q)\s*(?:$|[\[(/_,]|\W*(?:1/|a\^?-?1|å|nm))|scattering vector|momentum transfer", re.IGNORECASE
)
D_AXIS = re.compile(r"^\W*d\s*(?:$|[\[(/_]|-?\s*spacing|-?\s*value)|d-?spacing", re.IGNORECASE)
OTHER_AXIS = re.compile(r"\benergy\b|\bkev\b|time.of.flight|\btof\b|channel", re.IGNORECASE)
PER_NM = re.compile(r"nm\s*\^?\s*(?:-|\u2212|\u207b)|1\s*/\s*nm|/\s*nm|nm\*\*-1", re.IGNORECASE)
INTENSITY = re.compile(r"intens|count|cps|\byobs\b|\bobs|^i\b|^y\b|signal", re.IGNORECASE)
LARGEST_STEP = 10.0  # times the usual one, at the start of another scan; more means that one number is wrong


def read_columns(text: str) -> Scan:
    """Read the first scan of a text with an angle, Q or d and an intensity in each line.

    The first two columns count unless the header names others; further columns, such as standard deviations, are left
    alone. Lines that are no rows may stand between two scans, and comments anywhere; anything else among the rows means
    that the file is damaged. A first line of start, step and stop before nothing but intensities, as some refinement
    programs write, is understood too.

    Raises:
        ValueError: if there are no two columns of numbers, a line among them is none, or the header names an axis that
            is no angle two theta, Q or d.
    """
    columns = parse_columns(text)
    wavelength = wavelength_in(columns.header_text)
    if (equal_steps := _equal_steps(columns)) is not None:
        position, intensity = equal_steps
        return Scan(position, intensity, wavelength, notes=("angles by start, step and stop",))
    x, y = _which(columns.names)
    axis, factor = _axis(columns, x)
    values = columns.values
    stop, n_scans = _first_scan(columns, values[:, x])
    notes = () if n_scans == 1 else (f"the first of {n_scans} scans",)
    places = tuple(f"line {line}" for line in columns.lines[:stop])
    return Scan(values[:stop, x] * factor, values[:stop, y], wavelength, axis, notes, places)


def read_json(text: str) -> Scan:
    """Read a JSON object with two_theta_deg, intensity, and where it is known wavelength_angstrom.

    Raises:
        ValueError: if it is no such object.
    """
    content = json_object(text, ("two_theta_deg", "intensity"))
    wavelength = content.get("wavelength_angstrom")
    return Scan(
        position=numbers(content["two_theta_deg"], name="two_theta_deg"),
        intensity=numbers(content["intensity"], name="intensity"),
        wavelength=None if wavelength is None else (parse_wavelength(wavelength), "wavelength_angstrom"),
    )


def looks_like_pattern(columns: Columns) -> bool:
    """Return whether the header speaks of diffraction."""
    text = columns.header_text
    if any(name.search(text) for name in (TWO_THETA, INTENSITY)) or wavelength_in(text) is not None:
        return True
    return bool(columns.names and (Q_AXIS.search(columns.names[0]) or D_AXIS.search(columns.names[0])))


def could_be_angles(columns: Columns) -> bool:
    """Return whether the first column lies between 0 and 180."""
    values = columns.values[:, 0]
    return bool(np.all((values >= 0) & (values <= 180)))  # noqa: PLR2004


def _which(names: list[str]) -> tuple[int, int]:
    """Find the columns of the position and of the intensity."""
    axes = (TWO_THETA, Q_AXIS, D_AXIS)
    x = next((i for axis in axes for i, name in enumerate(names) if axis.search(name)), 0)
    y = next((i for i, name in enumerate(names) if i != x and INTENSITY.search(name)), None)
    return x, (1 if x == 0 else 0) if y is None else y


def _axis(columns: Columns, x: int) -> tuple[Axis, float]:
    """Find what the positions are, and the factor to 1 / angstrom or angstrom."""
    name = columns.names[x] if columns.names else ""
    last = columns.header[-1] if columns.header else ""
    for text in (name, last):
        if TWO_THETA.search(text):
            return "two_theta", 1.0
        if Q_AXIS.search(text):
            return "q", 0.1 if PER_NM.search(text) else 1.0
        if D_AXIS.search(text):
            return "d", 10.0 if re.search(r"\bnm\b", text, re.IGNORECASE) else 1.0
        for wrong in (HALF, OTHER_AXIS):
            if name and text is name and wrong.search(text):
                raise ValueError(f"its first column is named {text!r}, expected two theta in degrees, Q or d")
    return "two_theta", 1.0


def _first_scan(columns: Columns, position: FloatArray) -> tuple[int, int]:
    """Find where the first scan ends, and how many there are.

    Raises:
        ValueError: if a line that is neither row nor comment stands within a scan.
    """
    steps = np.diff(position)
    moving = steps[steps != 0]
    forward = bool(moving[0] > 0) if len(moving) else True
    restarts = [int(i) + 1 for i in np.flatnonzero(steps < 0 if forward else steps > 0)]
    for line in columns.interruptions:
        if not line.is_comment and line.row not in restarts:
            shown = line.text if len(line.text) <= 40 else line.text[:37] + "..."  # noqa: PLR2004
            raise ValueError(f"line {line.line} holds {shown!r}, expected a position and an intensity")
    if not restarts:
        return len(position), 1
    usual = float(np.median(np.abs(moving)))
    for restart in restarts:
        onward = steps[restart : restart + 1]
        if not len(onward) or abs(onward[0]) > LARGEST_STEP * usual:
            raise ValueError(
                f"line {columns.lines[restart]} turns back to {position[restart]:g}, expected one direction"
            )
    return restarts[0], len(restarts) + 1


def _equal_steps(columns: Columns) -> tuple[FloatArray, FloatArray] | None:
    """Read a file whose first row is start, step and stop of the angles and whose others are intensities."""
    first, *rest = columns.rows
    if len(first) != 3 or (rest and len(rest[0]) == len(first)):  # noqa: PLR2004
        return None
    start, step, stop = first
    if not (0 <= start < stop <= 180 and 0 < step < stop - start):  # noqa: PLR2004
        return None
    last = [float(line) for line in columns.tail if NUMBER.fullmatch(line)]  # lines of a single intensity
    intensity = np.array([value for row in rest for value in row] + last)
    n_points = round((stop - start) / step) + 1
    if len(intensity) != n_points:
        return None
    return start + step * np.arange(n_points, dtype=float), intensity
