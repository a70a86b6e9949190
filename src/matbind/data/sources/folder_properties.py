"""Properties of the materials of a folder: `properties.csv`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from matbind.base.errors import UserError

PROPERTIES = ("band_gap", "formation_energy_per_atom", "e_above_hull")


def read_properties(path: Path, *, log: Callable[[str], None]) -> pl.DataFrame | None:
    """Read the properties that structures may have: band_gap in eV, the two energies in eV / atom; empty where unknown.

    Args:
        path: of a CSV file with material_id and any of these; other columns are left out.
        log: is told what is left out.

    Returns:
        None if there is no such file.

    Raises:
        UserError: if it is no CSV, material_id is missing or repeated, or a value is no number.
    """
    if not path.exists():
        return None
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: this is no CSV table ({str(error).splitlines()[0]})") from error
    table = table.rename({name: name.strip() for name in table.columns})
    if "material_id" not in table.columns:
        raise UserError(f"{path}: column material_id is missing, found {', '.join(table.columns)}")
    repeated = table.filter(table["material_id"].is_duplicated() | table["material_id"].is_null())
    if len(repeated):
        raise UserError(f"{path}: material_id {repeated['material_id'][0]!r} stands in more than one row or is empty")
    known = [name for name in PROPERTIES if name in table.columns]
    others = [name for name in table.columns if name not in known and name != "material_id"]
    if others:
        log(f"{path}: the columns {', '.join(others)} are left out, known are {', '.join(PROPERTIES)}")
    for name in known:
        text = table[name].str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        wrong = (numbers.is_null() & text.is_not_null() & (text != "")) | ~numbers.is_finite().fill_null(value=True)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise UserError(
                f"{path}: {name} of {table['material_id'][row]!r} is {text[row]!r}, expected a number or nothing"
            )
        table = table.with_columns(numbers.alias(name))
    return table.select("material_id", *known)
