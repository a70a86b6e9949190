from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.materials.diffraction import pattern_grid, simulate_pattern
from matbind.materials.structure import structure_of
from matbind.modalities.pxrd.validation import Validator
from matbind.modalities.records import columns_of
from tests import checked

FCC = np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
SALT = {"lattice": (FCC * 2.82).ravel().tolist(), "atomic_numbers": [11, 17], "frac_coords": [0.0, 0, 0, 0.5, 0.5, 0.5]}
ANGLES = pattern_grid(n_points=4251)


def crystals(**change) -> pl.DataFrame:
    return pl.DataFrame([{"material_id": "salt", "formula": "NaCl"} | SALT | change], schema=columns_of("crystal"))


def salt(size_nm: float = 40.0, **change) -> np.ndarray:
    return simulate_pattern(
        structure_of(SALT | change), crystallite_size_nm=size_nm, wavelength_angstrom=1.54184, grid_deg=ANGLES
    )


def rows(pattern, *, simulated=True) -> pl.DataFrame:
    row = {"material_id": "salt", "pattern": pattern, "simulated": simulated}
    return pl.DataFrame([row], schema=columns_of("pxrd"), orient="row").with_row_index("row")


def summary(settings, grid, pattern, *, structures=None) -> pl.DataFrame:
    return validator(settings, grid, structures).summarize(rows(pattern))


def validator(settings, grid, structures=None) -> Validator:
    return Validator(settings().pxrd, crystals=crystals() if structures is None else structures, records=grid)


def failing(settings, grid, pattern, *, simulated=True) -> set[str]:
    return checked.failing("pxrd", settings().pxrd, validator(settings, grid), rows(pattern, simulated=simulated))


def changed(position, value) -> np.ndarray:
    pattern = salt()
    pattern[position] = value
    return pattern


def noise() -> np.ndarray:
    values = np.random.default_rng(0).random(4251)
    return values / values.max()


@pytest.mark.parametrize("size_nm", [20.0, 100.0])
def test_a_simulated_pattern_is_sound_whatever_its_width(settings, grid, size_nm):
    assert failing(settings, grid, salt(size_nm)) == set()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, {"length"}),
        ([], {"length"}),
        (salt()[:-1], {"length"}),
        (changed(9, np.nan), {"finite"}),
        (changed(9, np.inf), {"finite"}),
        (changed(9, -0.01), {"not_negative"}),
        (salt() * 100, {"maximum_one"}),
        (salt() * 0.5, {"maximum_one"}),
        (np.zeros(4251), {"maximum_one", "has_peaks", "not_constant"}),
        (np.ones(4251), {"has_peaks", "not_constant", "peaks_stand_out", "of_its_structure"}),
        (noise(), {"peaks_stand_out", "of_its_structure"}),
        (salt()[::-1].copy(), {"of_its_structure"}),
        (np.roll(salt(), 50), {"of_its_structure"}),
        (salt(lattice=(FCC * 3.0).ravel().tolist()), {"of_its_structure"}),
    ],
)
def test_each_fault_fails_its_own_expectations(settings, grid, pattern, expected):
    assert failing(settings, grid, pattern) == expected


def test_a_measured_pattern_may_have_gaps_and_is_not_compared(settings, grid):
    pattern = salt()[::-1].copy()
    pattern[:1500] = np.nan
    assert failing(settings, grid, pattern, simulated=False) == set()
    pattern[:2500] = np.nan
    assert failing(settings, grid, pattern, simulated=False) == {"measured_share"}


def test_counts_of_peaks_and_heights(settings, grid):
    pattern = np.zeros(4251, dtype=np.float32)
    pattern[[100, 200, 300]] = [1.0, 0.3, 0.1]
    row = summary(settings, grid, pattern).row(0, named=True)
    assert row["n_peaks"] == 2
    assert (row["lowest"], row["highest"], row["contrast"]) == (0, 1, 1)
    assert row["share_above_half"] == pytest.approx(1 / 4251)


def test_a_pattern_of_an_unknown_material_is_not_compared(settings, grid):
    assert summary(settings, grid, salt(), structures=crystals(material_id="other"))["agreement"].to_list() == [None]
