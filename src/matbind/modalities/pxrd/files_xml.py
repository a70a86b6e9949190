"""Powder patterns in XML, alone or in archives: .xrdml of PANalytical, .rasx of Rigaku, .brml of Bruker instruments."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np

from matbind.base.content import Archive, decode, descendants, first, local_name, parse_xml
from matbind.base.text_columns import parse_columns
from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import Scan, first_of
from matbind.modalities.pxrd.wavelength import doublet_angstrom, tube_wavelength

PROFILE = re.compile(r"^(.*/)?Profile(\d+)\.txt$")
RAW_DATA = re.compile(r"^(?:.*/)?RawData(\d+)\.xml$")
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def read_xrdml(content: bytes) -> Scan:
    """Read the first scan of an XRDML file of any version.

    Counts are multiplied with the attenuation factors that stand beside them; `intensities` hold them already.

    Raises:
        ValueError: if it is no whole XRDML, or its first scan has no two-theta axis or no intensities.
    """
    root = parse_xml(content)
    if "xrdMeasurement" not in root.tag:
        raise ValueError(f"its XML begins with <{local_name(root)}>, expected <xrdMeasurements>")
    scans = descendants(root, "scan")
    points = first(scans[0], "dataPoints") if scans else None
    if points is None:
        raise ValueError("it holds no scan")
    intensity = _intensity(points)
    return Scan(_two_theta(points, len(intensity)), intensity, _xrdml_wavelength(root), notes=first_of(scans))


def _intensity(points: Element) -> FloatArray:
    if (listed := first(points, "intensities")) is not None:
        return _numbers(listed)
    counts = first(points, "counts")
    if counts is None:
        raise ValueError("its first scan holds no intensities")
    values = _numbers(counts)
    if (attenuation := first(points, "beamAttenuationFactors")) is None:
        return values
    factors = _numbers(attenuation)
    if len(factors) != len(values):
        raise ValueError(f"it holds {len(values)} counts and {len(factors)} attenuation factors, expected as many")
    return values * factors


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


def _xrdml_wavelength(root: Element) -> tuple[float, str] | None:
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
        raise ValueError(f"its {local_name(element)} are no numbers ({error})") from error


def _number(element: Element) -> float:
    values = _numbers(element)
    if len(values) != 1:
        raise ValueError(f"its {local_name(element)} is {element.text!r}, expected one number")
    return float(values[0])


def read_rasx(content: bytes) -> Scan:
    """Read the first profile of a Rigaku archive; counts are multiplied with the attenuator's factor beside them.

    Raises:
        ValueError: if it is no whole archive or holds no profile.
    """
    archive = Archive(content)
    profiles = sorted((int(match[2]), name) for name in archive.names if (match := PROFILE.match(name)))
    if not profiles:
        raise ValueError("the archive holds no Profile0.txt")
    name = profiles[0][1]
    values = parse_columns(decode(archive.read(name))).values
    intensity = values[:, 1] * (values[:, 2] if values.shape[1] > 2 else 1.0)  # noqa: PLR2004
    conditions = name.replace("Profile", "MesurementConditions").removesuffix(".txt") + ".xml"  # spelt so by Rigaku
    wavelength = None
    if conditions in archive.names:
        root = parse_xml(archive.read(conditions))
        axis = next((e.text or "" for e in descendants(root, "AxisName")), "")
        if axis and "TwoTheta" not in axis.replace("-", "").replace("2", "Two"):
            raise ValueError(f"it was scanned over {axis}, expected a scan over two theta")
        if (source := first(root, "XrayGenerator")) is not None:
            wavelength = _tube({local_name(e): e.text or "" for e in source}, "Wavelength", "Target")
    return Scan(values[:, 0], intensity, wavelength, notes=first_of(profiles))


def read_brml(content: bytes) -> Scan:
    """Read the first scan of a Bruker archive.

    Raises:
        ValueError: if it is no whole archive, or its first scan has no two-theta axis or no counter.
    """
    archive = Archive(content)
    scans = sorted((int(match[1]), name) for name in archive.names if (match := RAW_DATA.match(name)))
    if not scans:
        raise ValueError("the archive holds no RawData0.xml")
    root = parse_xml(archive.read(scans[0][1]))
    route = first(root, "DataRoute")
    if route is None:
        raise ValueError("its first scan holds no data")
    try:
        table = np.array([[float(word) for word in (e.text or "").split(",")] for e in descendants(route, "Datum")])
    except ValueError as error:
        raise ValueError(f"its Datum rows are no table of numbers ({error})") from error
    if table.ndim != 2:  # noqa: PLR2004
        raise ValueError("its first scan holds no Datum rows")
    intensity = table[:, _counter(route, table.shape[1])]
    return Scan(_brml_angles(route, table), intensity, _brml_wavelength(root), notes=first_of(scans))


def _brml_angles(route: Element, table: FloatArray) -> FloatArray:
    """Return the angles: the column of the axis two theta, or evenly spaced ones where no RawDataView names it."""
    axes = descendants(route, "ScanAxisInfo")
    names = [axis.get("AxisName", "") for axis in axes]
    if "TwoTheta" not in names:
        raise ValueError(f"it was scanned over {', '.join(names) or 'no axis'}, expected a scan over TwoTheta")
    axis = axes[names.index("TwoTheta")]
    numbers = {key: first(axis, key) for key in ("Start", "Stop", "Reference")}
    start, stop, reference = (float((e.text or "0") if e is not None else "nan") for e in numbers.values())
    reference = 0.0 if np.isnan(reference) else reference
    varying = next((view for view in descendants(route, "RawDataView") if "Varying" in view.get(TYPE, "")), None)
    if varying is not None and int(varying.get("Length", "0")) == len(names):
        column = int(varying.get("Start", "0")) + names.index("TwoTheta")
        if column < table.shape[1]:
            return table[:, column]
    if not np.isfinite([start, stop]).all():
        raise ValueError("its TwoTheta axis has no start and stop")
    return np.linspace(start + reference, stop + reference, len(table))


def _counter(route: Element, n_columns: int) -> int:
    """Find the column of the counts."""
    for view in descendants(route, "RawDataView"):
        if "Recorded" not in view.get(TYPE, ""):
            continue
        recording = first(view, "Recording")
        name = (recording.get("LogicName", "") if recording is not None else "").lower()
        if "counter" in name or "detector" in name:
            if int(view.get("Length", "1")) != 1:
                raise ValueError("its detector recorded several channels a point, expected one count")
            column = int(view.get("Start", "-1"))
            if 0 <= column < n_columns:
                return column
    raise ValueError("its first scan has no counter among the recorded columns")


def _brml_wavelength(root: Element) -> tuple[float, str] | None:
    for tube in descendants(root, "Tube"):
        values = {local_name(e): e.get("Value") or e.text or "" for e in tube.iter()}
        if wavelength := _tube(values, "WaveLength", "TubeMaterial"):
            return wavelength
    return None


def _tube(values: dict[str, str], prefix: str, target: str) -> tuple[float, str] | None:
    def number(*keys: str) -> float | None:
        text = next((values[key] for key in keys if values.get(key)), "")
        try:
            return float(text) or None
        except ValueError:
            return None

    anode = next((values[key].strip() for key in (target, f"{target}Name") if values.get(key)), "")
    alpha1, alpha2 = (number(f"{prefix}Kalpha{n}", f"{prefix}Alpha{n}") for n in (1, 2))
    return tube_wavelength(anode, alpha1, alpha2, number(f"{prefix}Ratio"))
