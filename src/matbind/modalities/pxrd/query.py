"""A powder pattern, measured or calculated, brought to the angles and the wavelength that the model was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matbind.modalities.pxrd.files import read_pattern
from matbind.modalities.pxrd.files_text import read_columns, read_json
from matbind.modalities.pxrd.grid import on_grid
from matbind.modalities.pxrd.records import Pattern
from matbind.modalities.pxrd.scan import measured_pattern
from matbind.modalities.pxrd.settings import Grid

COLUMNS = {
    "pxrd": 'a powder pattern, JSON: {"two_theta_deg": [...], "intensity": [...], "wavelength_angstrom": a number or a '
    "line such as CuKa}, or the text of an .xy file whose head names the wavelength"
}
_ANGLES = range(10, 65)
# Rock salt: enough of a pattern to be read.
EXAMPLE = {
    "pxrd": json.dumps(
        {
            "two_theta_deg": list(_ANGLES),
            "intensity": [{27: 10, 32: 100, 45: 60, 54: 2, 56: 18}.get(angle, 0) for angle in _ANGLES],
            "wavelength_angstrom": 1.54184,
        }
    )
}


def read(column: str, text: str, *, records: Grid) -> Pattern:  # noqa: ARG001
    """Read a pattern; what lies outside the model's window is left out, what was not measured is masked."""
    scan = read_json(text) if text.lstrip().startswith("{") else read_columns(text)
    if scan.wavelength is None and scan.axis == "two_theta":
        raise ValueError(
            "the wavelength is missing and is never guessed, expected wavelength_angstrom (Cu K-alpha: "
            "1.54184), or in text a line such as '# Wavelength = 1.5406' above the data"
        )
    return Pattern(on_grid(measured_pattern(scan, wavelength=None), records), simulated=False)


def read_file(path: Path, *, records: Grid, wavelength: str | None, **_: Any) -> tuple[Pattern, str]:
    """Read a file of :func:`read`, or any of :func:`matbind.modalities.pxrd.files.read_pattern`."""
    measured = read_pattern(path, wavelength=wavelength)
    return Pattern(on_grid(measured, records), simulated=False), measured.note
