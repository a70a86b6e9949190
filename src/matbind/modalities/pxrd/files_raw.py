"""Powder patterns of Bruker instruments in binary: .raw, version 4."""

from __future__ import annotations

import struct

import numpy as np

from matbind.materials.structure import FloatArray
from matbind.modalities.pxrd.scan import Scan, first_of
from matbind.modalities.pxrd.wavelength import tube_wavelength

MAGIC = b"RAW4.00"
PREAMBLE_BYTES = 61
RANGE_KINDS = (0, 160)  # a range begins where the kind of a segment would stand
SOURCE_KIND, DRIVE_KIND = 30, 50
RANGE_BYTES = 160
POINT_BYTES = 4
MOST_POINTS = 10_000_000


def read_raw(content: bytes) -> Scan:
    """Read the first range of a RAW4.00 file.

    The file is a chain of segments, each with its kind and length, and of ranges: a header of 160 bytes, the drives of
    the goniometer, and the points, whose first four bytes are the intensity.

    Raises:
        ValueError: if it is another version, is cut off, or its first range is no scan over two theta.
    """
    if not content.startswith(MAGIC):
        version = content[:8].split(b"\0")[0].decode("latin-1")
        raise ValueError(f"it begins with {version!r}, expected {MAGIC.decode()}; export it as RAW version 4 or as .xy")
    try:
        return _walk(content)
    except struct.error as error:
        raise ValueError(f"the file is cut off ({error})") from error


def _walk(content: bytes) -> Scan:
    source: tuple[float, str] | None = None
    scans: list[tuple[FloatArray, FloatArray]] = []
    at = PREAMBLE_BYTES
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<II", content, at)
        if kind in RANGE_KINDS:
            scan, at = _range(content, at, is_first=not scans)
            scans.append(scan)
            continue
        if kind == SOURCE_KIND:
            source = _source(content, at)
        at += _checked(content, at, length)
    if not scans:
        raise ValueError("it holds no measured range")
    return Scan(*scans[0], source, notes=first_of(scans))


def _range(content: bytes, at: int, *, is_first: bool) -> tuple[tuple[FloatArray, FloatArray], int]:
    """Return positions and intensities of one range, and where it ends."""
    start, step = struct.unpack_from("<dd", content, at + 72)
    (n_points,) = struct.unpack_from("<I", content, at + 88)
    point_bytes, drive_bytes = struct.unpack_from("<II", content, at + 136)
    first_point = at + RANGE_BYTES + drive_bytes
    if not 0 < n_points <= MOST_POINTS or point_bytes < POINT_BYTES or point_bytes % POINT_BYTES:
        raise ValueError(f"its range declares {n_points} points of {point_bytes} bytes, expected points of 4, 8, ...")
    end = first_point + n_points * point_bytes
    if end > len(content):
        raise ValueError(f"the file is cut off: its range ends at byte {end}, the file at {len(content)}")
    if is_first and not _over_two_theta(content, at + RANGE_BYTES, first_point, start):
        raise ValueError("its first range is no scan over 2Theta")
    points = np.frombuffer(content, dtype="<f4", count=n_points * point_bytes // POINT_BYTES, offset=first_point)
    intensity = points.reshape(n_points, -1)[:, 0].astype(float)
    return (start + step * np.arange(n_points), intensity), int(end)


def _over_two_theta(content: bytes, at: int, end: int, start: float) -> bool:
    """Return whether the drive 2Theta stands where the scan starts."""
    while at + 8 <= end:
        kind, length = struct.unpack_from("<II", content, at)
        if kind == DRIVE_KIND:
            name = content[at + 12 : at + 36].split(b"\0")[0].decode("latin-1").strip()
            (position,) = struct.unpack_from("<d", content, at + 56)
            if name.lower().replace(" ", "") in {"2theta", "twotheta"}:
                return bool(np.isclose(position, start, atol=1e-4))
        at += _checked(content, at, length)
    return False


def _source(content: bytes, at: int) -> tuple[float, str] | None:
    mean, alpha1, alpha2, _, ratio = struct.unpack_from("<5d", content, at + 72)
    anode = content[at + 116 : at + 120].split(b"\0")[0].decode("latin-1").strip()
    if mean > 0 >= alpha1:
        return mean, "the tube"
    return tube_wavelength(anode, alpha1, alpha2, ratio)


def _checked(content: bytes, at: int, length: int) -> int:
    if length < 8 or at + length > len(content):  # noqa: PLR2004
        raise ValueError(f"the file is cut off or damaged: a segment at byte {at} claims {length} bytes")
    return int(length)
