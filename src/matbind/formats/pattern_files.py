"""A measured powder pattern from a file of any format, and where each format is told from the others."""

from __future__ import annotations

from pathlib import Path

from matbind.errors import UserError
from matbind.formats.content import bare_name, decode, read_bytes, refusals_of
from matbind.formats.pattern_cif import read_cif_pattern
from matbind.formats.pattern_raw import read_raw
from matbind.formats.pattern_text import read_columns
from matbind.formats.pattern_xrdml import read_xrdml
from matbind.formats.pattern_zip import read_brml, read_rasx
from matbind.formats.scan import MeasuredPattern, Scan, measured_pattern

TEXT_SUFFIXES = (".xy", ".xye", ".dat", ".txt", ".csv")
SUFFIXES = (".xrdml", ".rasx", ".brml", ".raw", ".cif", ".xye", ".xy", ".csv", ".dat", ".txt")
"""Endings of powder patterns, each also with `.gz`; of several files of one name, the first of these is read."""


def read_pattern(path: Path, *, wavelength: str | float | None = None) -> MeasuredPattern:
    """Read a measured powder pattern.

    Formats by ending: `.xy`, `.xye`, `.dat`, `.txt`, `.csv` (columns of text, see
    :func:`matbind.formats.pattern_text.read_columns`), `.xrdml`, `.rasx`, `.brml`, `.raw` (Bruker, version 4) and
    `.cif` (powder dictionary), each also packed by gzip. Of several scans the first is read, and the note says so.

    Args:
        path: of the file.
        wavelength: angstrom, a line such as `CuKa` or an energy such as `17.48 keV`; used only where the file names
            none. A wavelength is never assumed.

    Returns:
        Angles, intensities as they stand in the file, the wavelength and where it is from.

    Raises:
        UserError: if the file is of another kind, damaged, without a wavelength, has fewer than 50 points, a value that
            is not finite, or no intensity above zero; the sentence names file and line.
    """
    with refusals_of(path):
        return measured_pattern(_scan(path), wavelength=wavelength)


def _scan(path: Path) -> Scan:
    suffix = Path(bare_name(path)).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            f"its ending {suffix or 'is missing,'} is of no powder pattern, expected {', '.join(SUFFIXES)}"
        )
    content = read_bytes(path)
    match suffix:
        case ".xrdml":
            return read_xrdml(content)
        case ".rasx":
            return read_rasx(content)
        case ".brml":
            return read_brml(content)
        case ".raw":
            return read_raw(content)
        case ".cif":
            try:
                return read_cif_pattern(decode(content))
            except UserError as error:
                raise ValueError(str(error)) from error
        case _:
            return read_columns(decode(content))
