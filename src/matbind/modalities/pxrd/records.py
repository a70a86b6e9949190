"""The table of powder patterns; those of materials without a measured one are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.materials.structure import Structure, structure_of
from matbind.modalities.protocol import Excluded
from matbind.modalities.pxrd.settings import RecordsSettings

NAME = TABLE = "pxrd"
NOUN = "powder patterns"
COLUMNS: dict[str, Any] = {"material_id": pl.String, "pattern": pl.List(pl.Float32), "simulated": pl.Boolean}
"""Units: pattern in [0, 1] on the 2-theta grid of `prepare.pxrd`."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A powder pattern on the 2-theta grid of the data set."""

    intensity: npt.NDArray[np.float32]  # in [0, 1], shape (n_points,); NaN where nothing was measured
    simulated: bool  # whether it was computed from the structure, so that training may compute it anew


def value(row: Mapping[str, Any]) -> Pattern:
    """Make the pattern of one row."""
    return Pattern(row["pattern"], bool(row["simulated"]))


def prepared(
    structures: pl.DataFrame, table: pl.DataFrame, *, settings: RecordsSettings, seed: int
) -> tuple[pl.DataFrame, list[Excluded]]:
    """Keep measured patterns as they are, simulate those of the other structures, and say why some have none."""
    from matbind.materials.diffraction import pattern_grid  # brings Numba, which a reader of patterns can do without

    start_deg, stop_deg = settings.two_theta_deg
    grid = pattern_grid(start_deg=start_deg, stop_deg=stop_deg, n_points=settings.n_points)
    measured = {row["material_id"]: (row["pattern"], row["simulated"]) for row in table.iter_rows(named=True)}
    rows: list[tuple[str, Any, bool]] = []
    excluded: list[Excluded] = []
    for row in structures.iter_rows(named=True):
        material_id = row["material_id"]
        if material_id in measured:
            pattern, simulated = measured[material_id]
            if len(pattern) == settings.n_points:
                rows.append((material_id, pattern, simulated))
            else:
                reason = f"the pattern has {len(pattern)} points, expected {settings.n_points} (prepare.pxrd.n_points)"
                excluded.append((material_id, TABLE, reason))
            continue
        try:
            rows.append((material_id, _simulated(structure_of(row), material_id, settings, grid, seed), True))
        except ValueError as error:
            excluded.append((material_id, TABLE, str(error)))
    return pl.DataFrame(rows, schema=COLUMNS, orient="row"), excluded


def _simulated(structure: Structure, material_id: str, settings: RecordsSettings, grid: Any, seed: int) -> Any:
    from matbind.materials.diffraction import simulate_pattern

    # The size is drawn from the id, so a material keeps its pattern whatever else is in the data set.
    low, high = np.log(settings.crystallite_size_nm)
    rng = np.random.default_rng([seed, *material_id.encode()])
    return simulate_pattern(
        structure,
        crystallite_size_nm=float(np.exp(rng.uniform(low, high))),
        wavelength_angstrom=settings.wavelength_angstrom,
        grid_deg=grid,
    )
