from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.materials.diffraction import pattern_grid, reflections, simulate_pattern
from matbind.materials.structure import structure_of
from matbind.modalities.pxrd.agreement import (
    FEWEST_BINS,
    N_REFLECTIONS,
    SMOOTHINGS,
    STEP_DEG,
    TAIL_DEG,
    Cells,
    agreement,
)
from matbind.modalities.records import columns_of

DATA = Path(__file__).parents[3] / "data"
WAVELENGTH = 1.54184
ANGLES = pattern_grid(n_points=4251)
SALT = {"lattice": (np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.82).ravel().tolist()}
SALT |= {"atomic_numbers": [11, 17], "frac_coords": [0.0, 0, 0, 0.5, 0.5, 0.5]}
EXTRA = {"site_index": pl.List(pl.Int64), "occupancy": pl.List(pl.Float64)}


def table(*rows) -> pl.DataFrame:
    named = [{"material_id": str(i), "formula": "X"} | row for i, row in enumerate(rows)]
    return pl.DataFrame(
        named, schema=columns_of("crystal") | (EXTRA if any("occupancy" in row for row in rows) else {})
    )


def pattern_of(row, size_nm=50.0, angles=ANGLES) -> np.ndarray:
    return simulate_pattern(
        structure_of(row), crystallite_size_nm=size_nm, wavelength_angstrom=WAVELENGTH, grid_deg=angles
    )


def cosines(patterns, crystal, cells) -> list[float]:
    offsets = np.cumsum([0, *map(len, patterns)])
    return agreement(
        np.concatenate(patterns),
        offsets,
        np.asarray(crystal, dtype=np.int64),
        cells,
        two_theta_deg=(5.0, 90.0),
        wavelength_angstrom=WAVELENGTH,
    ).tolist()


def smoothed_histogram(at, weights, n_bins) -> np.ndarray:
    line = np.zeros(n_bins)
    for x, weight in zip(at, weights, strict=True):
        if int(x) < n_bins - 1:
            line[int(x)] += weight * (1 - x % 1)
            line[int(x) + 1] += weight * (x % 1)
    for _ in range(SMOOTHINGS):
        before = np.concatenate([line[:1], line[:-2]])
        line[:-1] = 0.25 * before + 0.5 * line[:-1] + 0.25 * line[1:]
    return line


def from_whole_reflections(row, pattern) -> float:
    """The same cosine, from the peaks of `reflections`, angles of equal reflections merged."""
    structure = structure_of(row)
    g_wanted = (3 * N_REFLECTIONS / (4 * np.pi * structure.volume_angstrom3)) ** (1 / 3)
    near = np.degrees(2 * np.arcsin(min(0.5 * WAVELENGTH * g_wanted, 1)))
    end = min(90.0, max(near, 5.0 + FEWEST_BINS * STEP_DEG))
    peaks = reflections(structure, wavelength_angstrom=WAVELENGTH, two_theta_deg=(5.0, min(end + TAIL_DEG, 90.0)))
    n_bins = int((end - 5.0) / STEP_DEG) + 1
    measured = smoothed_histogram((ANGLES - 5.0) / STEP_DEG, pattern, n_bins)
    computed = smoothed_histogram((peaks.two_theta_deg - 5.0) / STEP_DEG, peaks.intensity, n_bins)
    return float(measured @ computed / np.linalg.norm(measured) / np.linalg.norm(computed))


def test_it_equals_the_comparison_with_whole_reflections():
    structures = pl.read_parquet(DATA / "structures.parquet").head(30)
    rows = structures.to_dicts()
    patterns = [pattern_of(row, size_nm) for row, size_nm in zip(rows, np.linspace(20, 100, 30), strict=True)]
    shifted = [np.roll(pattern, 40) for pattern in patterns]
    cells = Cells.of(structures)
    for given in (patterns, shifted):
        expected = [from_whole_reflections(row, pattern) for row, pattern in zip(rows, given, strict=True)]
        np.testing.assert_allclose(cosines(given, range(len(rows)), cells), expected, atol=1e-4)


@pytest.mark.parametrize("size_nm", [20.0, 100.0])
def test_the_width_of_the_peaks_matters_little(size_nm):
    assert cosines([pattern_of(SALT, size_nm)], [0], Cells.of(table(SALT)))[0] > 0.98


def test_each_pattern_is_compared_with_the_crystal_named_for_it():
    cells = Cells.of(table(SALT, SALT | {"atomic_numbers": [55, 8]}))
    same, other = cosines([pattern_of(SALT)] * 2, [0, 1], cells)
    assert same > 0.98
    assert other < 0.9


def test_mixed_sites_scatter_by_their_occupancies():
    mixed = SALT | {
        "atomic_numbers": [11, 47, 17],
        "site_index": [0, 0, 1],
        "occupancy": [0.5, 0.5, 1.0],
    }
    cells = Cells.of(table(SALT, mixed))
    pattern = pattern_of(mixed)
    unmixed, same = cosines([pattern] * 2, [0, 1], cells)
    assert same == pytest.approx(from_whole_reflections(mixed, pattern), abs=1e-4)
    assert unmixed < same


def test_nothing_is_compared_without_a_crystal_or_form_factor():
    cells = Cells.of(table(SALT | {"atomic_numbers": [11, 105]}))
    assert np.isnan(cosines([pattern_of(SALT)] * 2, [-1, 0], cells)).all()


def test_ids_are_numbered_among_the_crystals():
    assert Cells.of(table(SALT, SALT)).positions(pl.Series(["1", "x", None, "0"])).tolist() == [1, -1, -1, 0]


def test_no_crystals_at_all_are_no_error():
    cells = Cells.of(table().cast(columns_of("crystal")))
    assert cells.positions(pl.Series(["0"])).tolist() == [-1]
