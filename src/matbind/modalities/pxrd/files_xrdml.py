"""Powder patterns of PANalytical instruments: .xrdml."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from matbind.base.content import descendants, first, parse_xml
from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import Scan, first_of
from matbind.modalities.pxrd.wavelength import doublet_angstrom


def read_xrdml(content: bytes) -> Scan:
    """Read the first scan of an XRDML file of any version.

    Counts are multiplied with the attenuation factors that stand beside them; `intensities` hold them already.

    Raises:
        ValueError: if it is no whole XRDML, or its first scan has no two-theta axis or no intensities.
    """
    root = parse_xml(content)
    if "xrdMeasurement" not in root.tag:
        raise ValueError(f"its XML begins with <{root.tag.rpartition('}')[2]}>, expected <xrdMeasurements>")
    scans = descendants(root, "scan")
    points = first(scans[0], "dataPoints") if scans else None
    if points is None:
        raise ValueError("it holds no scan")
    intensity = _intensity(points)
    return Scan(_two_theta(points, len(intensity)), intensity, _wavelength(root), notes=first_of(scans))


def _intensity(points: Element) -> FloatArray:
    if (listed := first(points, "intensities")) is not None:
        return _numbers(listed)
    counts = first(points, "counts")
    if counts is None:
        raise ValueError("its first scan holds no intensities")
    factors = first(points, "beamAttenuationFactors")
    values = _numbers(counts)
    if factors is None:
        return values
    factor = _numbers(factors)
    if len(factor) != len(values):
        raise ValueError(f"it holds {len(values)} counts and {len(factor)} attenuation factors, expected as many")
    return values * factor


def _two_theta(points: Element, n_points: int) -> FloatArray:
    for axis in descendants(points, "positions"):
        if axis.get("axis") != "2Theta":
            continue
        if axis.get("unit", "deg") != "deg":
            raise ValueError(f"its angles are in {axis.get('unit')}, expected deg")
        if (listed := first(axis, "listPositions")) is not None:
            return _numbers(listed)
        start, end = first(axis, "startPosition"), first(axis, "endPosition")
        if start is not None and end is not None:
            return np.linspace(_number(start), _number(end), n_points)
        raise ValueError("its detector stood still during the scan, expected a scan over two theta")
    raise ValueError("its first scan has no 2Theta axis")


def _wavelength(root: Element) -> tuple[float, str] | None:
    used = first(root, "usedWavelength")
    if used is None:
        return None
    elements = [first(used, name) for name in ("kAlpha1", "kAlpha2", "ratioKAlpha2KAlpha1")]
    alpha1, alpha2, ratio = (None if element is None else _number(element) for element in elements)
    if alpha1 is None:
        return None
    intended = used.get("intended", "K-Alpha")
    if intended == "K-Alpha 1":
        alpha2 = None
    elif intended not in {"K-Alpha", "K-Alpha 2"}:
        raise ValueError(f"it was measured with {intended}, expected a K-alpha line")
    return doublet_angstrom(alpha1, alpha2, ratio), f"usedWavelength {intended}"


def _numbers(element: Element) -> FloatArray:
    try:
        return np.array([float(word) for word in (element.text or "").split()])
    except ValueError as error:
        raise ValueError(f"its {element.tag.rpartition('}')[2]} are no numbers ({error})") from error


def _number(element: Element) -> float:
    values = _numbers(element)
    if len(values) != 1:
        raise ValueError(f"its {element.tag.rpartition('}')[2]} is {element.text!r}, expected one number")
    return float(values[0])
