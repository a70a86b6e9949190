"""Powder patterns in CIF files (the powder dictionary)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import Axis, Scan, first_of
from matbind.modalities.pxrd.wavelength import doublet_angstrom

POSITIONS: tuple[tuple[str, Axis], ...] = (
    ("_pd_proc_2theta_corrected", "two_theta"),
    ("_pd_meas_2theta_scan", "two_theta"),
    ("_pd_proc_recip_len_q", "q"),
    ("_pd_proc_d_spacing", "d"),
)
RANGES = ("_pd_proc_2theta_range", "_pd_meas_2theta_range")
INTENSITIES = (
    "_pd_meas_intensity_total",
    "_pd_meas_counts_total",
    "_pd_proc_intensity_total",
    "_pd_proc_intensity_net",
    "_pd_meas_intensity_net",
    "_pd_meas_intensity_gross",
    "_pd_meas_counts_gross",
    "_pd_meas_counts_net",
)
WAVELENGTHS = ("_diffrn_radiation_wavelength", "_diffrn_radiation_wavelength.value", "_pd_proc_wavelength")
UNKNOWN = ("?", ".")
KALPHA_PAIR = 2


def holds_pattern(text: str) -> bool:
    """Return whether the text of a CIF names measured or processed intensities of a powder."""
    lowered = text.lower().replace(".", "_")
    return any(tag in lowered for tag in INTENSITIES)


def read_cif_pattern(text: str) -> Scan:
    """Read the first measured pattern of a powder CIF; calculated intensities do not count.

    Raises:
        ValueError: if it is no CIF or holds no pattern, or the pattern's columns differ in length.
    """
    from gemmi import cif

    try:
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"this is no CIF ({' '.join(str(error).split())})") from error
    scans = [scan for block in document if (scan := _scan(block)) is not None]
    if not scans:
        raise ValueError("it holds no powder pattern (a _pd_meas_ or _pd_proc_ intensity with an angle, Q or d)")
    wavelength = scans[0].wavelength or next(filter(None, map(_wavelength, document)), None)
    return replace(scans[0], wavelength=wavelength, notes=first_of(scans, "patterns"))


def _scan(block: Any) -> Scan | None:
    intensity = next((values for tag in INTENSITIES if len(values := _column(block, tag)) > 1), None)
    if intensity is None:
        return None
    for tag, axis in POSITIONS:
        position = _column(block, tag)
        if len(position) > 1:
            return _known(position, intensity, _wavelength(block), axis)
    for tag in RANGES:
        ends = [_column(block, f"{tag}_{end}") for end in ("min", "max", "inc")]
        if all(len(end) == 1 for end in ends):
            low, high, step = (float(end[0]) for end in ends)
            n_points = len(intensity)
            if step <= 0 or abs(round((high - low) / step) + 1 - n_points) > 1:
                raise ValueError(
                    f"{tag} runs from {low:g} to {high:g} by {step:g}, but there are {n_points} intensities"
                )
            return Scan(low + step * np.arange(n_points, dtype=float), intensity, _wavelength(block))
    return None


def _known(position: FloatArray, intensity: FloatArray, wavelength: tuple[float, str] | None, axis: Axis) -> Scan:
    """Leave out the points whose intensity is `?` or `.`, as those that a refinement does not regard are."""
    if len(position) != len(intensity):
        raise ValueError(f"it holds {len(position)} positions and {len(intensity)} intensities, expected as many")
    kept = ~(np.isnan(intensity) | np.isnan(position))
    return Scan(position[kept], intensity[kept], wavelength, axis)


def _column(block: Any, tag: str) -> FloatArray:
    """Read the numbers of a loop or a single item, NaN where unknown; without standard deviations."""
    dotted = re.sub("^(_pd_meas|_pd_proc)_", r"\1.", tag)  # as newer dictionaries write it
    values = [*block.find_values(tag)] or [*block.find_values(dotted)]
    return np.array([_number(value, tag) for value in values], dtype=float)


def _number(value: str, tag: str) -> float:
    if value in UNKNOWN:
        return float("nan")
    try:
        return float(value.strip("'\"").partition("(")[0])
    except ValueError as error:
        raise ValueError(f"{tag} holds {value!r}, expected a number") from error


def _wavelength(block: Any) -> tuple[float, str] | None:
    for tag in WAVELENGTHS:
        values = _column(block, tag)
        values = values[np.isfinite(values)]
        if len(values) == 1:
            return float(values[0]), tag
        if len(values) >= KALPHA_PAIR:
            weights = _column(block, "_diffrn_radiation_wavelength_wt")
            ratio = float(weights[1] / weights[0]) if len(weights) >= KALPHA_PAIR and weights[0] > 0 else None
            return doublet_angstrom(float(values[0]), float(values[1]), ratio), tag
    return None
