"""Measured powder patterns from files of any format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.content import bare_name, decode, read_bytes, read_text, refusals_of
from matbind.base.errors import UserError
from matbind.base.text_columns import AMBIGUOUS_SUFFIXES, MOSTLY_NUMBERS, parse_columns, share_of_rows
from matbind.modalities.pxrd.files_cif import holds_pattern, read_cif_pattern
from matbind.modalities.pxrd.files_raw import read_raw
from matbind.modalities.pxrd.files_text import could_be_angles, looks_like_pattern, read_columns, read_json
from matbind.modalities.pxrd.files_xml import read_brml, read_rasx, read_xrdml
from matbind.modalities.pxrd.grid import on_grid
from matbind.modalities.pxrd.records import COLUMNS as TABLE_COLUMNS
from matbind.modalities.pxrd.scan import MeasuredPattern, Scan, measured_pattern
from matbind.modalities.pxrd.settings import Grid
from matbind.modalities.pxrd.wavelength import parse_wavelength

SUFFIXES = (".xrdml", ".rasx", ".brml", ".raw", ".cif", ".xye", ".xy", ".csv", ".dat", ".txt", ".json")
"""Endings of powder patterns, each also with `.gz`; of several files of one name, the first of these is read."""
QUALIFIERS = (".xrd", ".pxrd")
_BINARY = {".xrdml": read_xrdml, ".rasx": read_rasx, ".brml": read_brml, ".raw": read_raw}
_TEXT: dict[str, Callable[[str], Scan]] = {".cif": read_cif_pattern, ".json": read_json}
COLUMNS: dict[str, Any] = {
    **{name: dtype for name, dtype in TABLE_COLUMNS.items() if name != "material_id"},
    "wavelength_angstrom": pl.Float64,
    "note": pl.String,
}


def read_pattern(path: Path, *, wavelength: str | float | None = None) -> MeasuredPattern:
    """Read a measured powder pattern.

    Formats by ending: `.xy`, `.xye`, `.dat`, `.txt`, `.csv` (columns of text, see
    :func:`matbind.modalities.pxrd.files_text.read_columns`), `.xrdml`, `.rasx`, `.brml`, `.raw` (Bruker, version 4) and
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


def likeness(path: Path) -> float:
    """Return 1 if a file's header, keys or ending speak of diffraction, 0.5 if its columns could be angles."""
    suffix = Path(bare_name(path)).suffix
    if suffix == ".cif":
        return float(holds_pattern(read_text(path)))
    if suffix == ".json":
        return float("two_theta_deg" in read_text(path))
    if suffix not in AMBIGUOUS_SUFFIXES:
        return 1.0
    text = read_text(path)
    with refusals_of(path):
        if share_of_rows(text) < MOSTLY_NUMBERS:
            return 0.0
        columns = parse_columns(text)
    return 1.0 if looks_like_pattern(columns) else 0.5 * could_be_angles(columns)


def check_options(*, wavelength: str | float | None) -> None:
    """Check that the wavelength is one."""
    if wavelength is not None:
        parse_wavelength(wavelength)


def row(path: Path, *, records: Grid, wavelength: str | float | None, **_: Any) -> dict[str, Any]:
    """Read a measured pattern as a row of `COLUMNS`, on the angles of the data set; see :func:`read_pattern`."""
    pattern = read_pattern(path, wavelength=wavelength)
    with refusals_of(path):
        intensity = on_grid(pattern, records)
    return {
        "pattern": intensity.tolist(),
        "simulated": False,
        "wavelength_angstrom": pattern.wavelength_angstrom,
        "note": pattern.note,
    }


def _scan(path: Path) -> Scan:
    suffix = Path(bare_name(path)).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            f"its ending {suffix or 'is missing,'} is of no powder pattern, expected {', '.join(SUFFIXES)}"
        )
    content = read_bytes(path)
    if suffix in _BINARY:
        return _BINARY[suffix](content)
    try:
        return _TEXT.get(suffix, read_columns)(decode(content))
    except UserError as error:
        raise ValueError(str(error)) from error
