"""A pair distribution function as JSON or from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from matbind.modalities.reading import json_object, numbers

from .files import row
from .settings import RecordsSettings

COLUMNS = {"pdf": 'a pair distribution function, JSON: {"radius_angstrom": [...], "density": [atoms / angstrom]}'}
EXAMPLE = {"pdf": json.dumps({"radius_angstrom": [1.0, 2.0, 2.8, 4.0, 6.0], "density": [0.0, 0.0, 6.0, 12.0, 8.0]})}


def read(column: str, text: str, *, records: RecordsSettings) -> Any:
    """Read a function, on the distances of the data set."""
    content = json_object(text, ("radius_angstrom", "density"))
    radii = np.linspace(*records.radius_angstrom, records.n_points)
    radius = numbers(content["radius_angstrom"], name="radius_angstrom")
    return np.interp(radii, radius, numbers(content["density"], name="density"))


def read_file(
    path: Path,
    *,
    records: RecordsSettings,
    wavelength: str | None,
    n_atoms: int | None,
) -> tuple[Any, str]:
    """Read a file."""
    return np.asarray(row(path, records=records, wavelength=wavelength, block=None)["density"]), ""
