"""Measured pair distribution functions: two columns, distance in angstrom and density, in a file `NAME.gr`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.content import read_text, refusals_of
from matbind.base.text_columns import parse_columns

from .records import COLUMNS as TABLE_COLUMNS
from .settings import RecordsSettings

SUFFIXES = (".gr",)
QUALIFIERS = (".pdf",)
COLUMNS: dict[str, Any] = {name: dtype for name, dtype in TABLE_COLUMNS.items() if name != "material_id"}


def likeness(path: Path) -> float:
    """Return 1: nothing else ends so."""
    return 1.0


def row(path: Path, *, records: RecordsSettings, wavelength: str | float | None, block: str | None) -> dict[str, Any]:
    """Read a file as a row, on the distances of the data set."""
    with refusals_of(path):
        values = parse_columns(read_text(path)).values
    radii = np.linspace(*records.radius_angstrom, records.n_points)
    return {"density": np.interp(radii, values[:, 0], values[:, 1]).tolist()}
