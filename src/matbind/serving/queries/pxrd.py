"""A powder pattern, measured or calculated, brought to the angles and the wavelength that the model was trained on."""

from __future__ import annotations

import json

from matbind.formats.pattern_grid import on_grid
from matbind.formats.pattern_text import read_columns
from matbind.formats.scan import Scan, measured_pattern
from matbind.formats.wavelength import parse_wavelength
from matbind.records import Material, Pattern
from matbind.serving.queries.reading import json_object, material, numbers
from matbind.settings import Settings

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


def read(column: str, value: str, settings: Settings) -> Material:  # noqa: ARG001
    """Read a pattern; what lies outside the model's window is left out, what was not measured is masked.

    Args:
        column: which of `COLUMNS`.
        value: JSON, or the text of an .xy file.
        settings: all settings; `prepare.pxrd` is the grid of the records' patterns.

    Raises:
        ValueError: if the wavelength is missing, a value is not finite or out of range, nothing is above zero, or fewer
            than 50 points are inside the window.
    """
    scan = _scan(value) if value.lstrip().startswith("{") else read_columns(value)
    if scan.wavelength is None and scan.axis == "two_theta":
        raise ValueError(
            "the wavelength is missing and is never guessed, expected wavelength_angstrom (Cu K-alpha: "
            "1.54184), or in text a line such as '# Wavelength = 1.5406' above the data"
        )
    measured = measured_pattern(scan, wavelength=None)
    return material(pxrd=Pattern(on_grid(measured, settings.prepare.pxrd), simulated=False))


def _scan(value: str) -> Scan:
    found = json_object(value, ("two_theta_deg", "intensity"))
    given = found.get("wavelength_angstrom")
    return Scan(
        position=numbers(found["two_theta_deg"], name="two_theta_deg"),
        intensity=numbers(found["intensity"], name="intensity"),
        wavelength=None if given is None else (parse_wavelength(given), "wavelength_angstrom"),
    )
