from __future__ import annotations

import numpy as np
import pytest

from matbind.materials.diffraction import pattern_grid, simulate_pattern
from matbind.modalities.pxrd.files import read_pattern
from matbind.modalities.pxrd.grid import at_wavelength, on_grid
from matbind.modalities.pxrd.scan import MeasuredPattern
from matbind.modalities.pxrd.settings import Grid
from tests.factories import rocksalt
from tests.modalities.pxrd.instruments import columns

GRID = Grid(wavelength_angstrom=1.5, two_theta_deg=(10.0, 90.0), n_points=801)


def _pattern(two_theta_deg, intensity, wavelength_angstrom=1.5):
    return MeasuredPattern(np.asarray(two_theta_deg), np.asarray(intensity, dtype=float), wavelength_angstrom, "")


def test_angles_move_by_braggs_law():
    # d = 2 A: sin(theta) = 1.5 / 4 and 0.75 / 4
    moved = at_wavelength(np.array([44.0486256]), wavelength_angstrom=1.5, wanted_angstrom=0.75)
    assert moved[0] == pytest.approx(2 * np.degrees(np.arcsin(0.75 / 4)), abs=1e-6)
    assert np.isnan(at_wavelength(np.array([100.0]), wavelength_angstrom=0.7, wanted_angstrom=1.5))[0]


def test_the_same_grid_is_only_scaled():
    points = np.linspace(10.0, 90.0, 801)
    intensity = np.abs(np.sin(points)) + 0.1
    np.testing.assert_allclose(on_grid(_pattern(points, intensity), GRID), intensity / intensity.max(), rtol=1e-6)


def test_a_coarser_pattern_is_interpolated():
    points = np.linspace(10.0, 90.0, 401)
    gridded = on_grid(_pattern(points, points), GRID)
    np.testing.assert_allclose(gridded, np.linspace(10.0, 90.0, 801) / 90, rtol=1e-6)


def test_a_finer_pattern_is_averaged_so_that_no_peak_falls_between_points():
    points = np.linspace(10.0, 90.0, 8001)
    intensity = np.zeros(8001)
    intensity[4003] = 1.0  # at 50.03, of width 0.01
    intensity[1000] = 0.5  # at 20.0
    gridded = on_grid(_pattern(points, intensity), GRID)
    assert np.flatnonzero(gridded).tolist() == [100, 400]
    assert gridded[400] == 1.0
    assert gridded[100] == pytest.approx(0.5)


def test_what_was_not_measured_is_missing_and_not_zero():
    points = np.concatenate([np.arange(20.0, 40.0, 0.1), np.arange(50.0, 60.0, 0.1)])
    gridded = on_grid(_pattern(points, np.ones(len(points))), GRID)
    grid = np.linspace(10.0, 90.0, 801)
    inside = ((grid > 19.96) & (grid < 39.94)) | ((grid > 49.96) & (grid < 59.94))
    assert np.isfinite(gridded[inside]).all()
    assert np.isnan(gridded[(grid < 19.9) | ((grid > 40.1) & (grid < 49.8)) | (grid > 60.1)]).all()


def test_noise_below_zero_becomes_zero():
    points = np.linspace(10.0, 90.0, 801)
    intensity = np.where(np.arange(801) % 2 == 0, -1.0, 4.0)
    gridded = on_grid(_pattern(points, intensity), GRID)
    assert (gridded.min(), gridded.max()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("points", "intensity", "words"),
    [
        (np.linspace(91, 150, 500), np.ones(500), "only 0 of its points lie between 10 and 90 degrees"),
        (np.linspace(5, 95, 50), np.ones(50), "only 44 of its points"),
        (np.linspace(5, 90, 400), np.r_[np.ones(20), np.zeros(380)], "no intensity above zero between 10 and 90"),
        (np.linspace(10, 90, 400), np.r_[-5.0, np.ones(399)], "reach from -5 to 1"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(points, intensity, words):
    with pytest.raises(ValueError, match=words):
        on_grid(_pattern(points, intensity), GRID)


@pytest.mark.parametrize(("line", "angstrom", "stop_deg"), [("CoKa", 1.79026, 110.0), ("MoKa", 0.71073, 45.0)])
def test_a_pattern_of_another_tube_becomes_that_of_the_grid(tmp_path, line, angstrom, stop_deg):
    measured = pattern_grid(start_deg=4.0, stop_deg=stop_deg, n_points=8000)
    theirs = simulate_pattern(rocksalt(), crystallite_size_nm=20, wavelength_angstrom=angstrom, grid_deg=measured)
    path = tmp_path / "a.xy"
    path.write_text(columns(measured, 1000 * theirs, header=f"# Radiation: {line}\n"))
    grid = Grid(wavelength_angstrom=1.54184, two_theta_deg=(5.0, 90.0), n_points=4251)
    gridded = on_grid(read_pattern(path), grid)
    expected = simulate_pattern(rocksalt(), crystallite_size_nm=20, grid_deg=pattern_grid(n_points=4251))
    known = np.isfinite(gridded)
    assert known.mean() > 0.9
    # Heights differ by the Lorentz-polarisation factor of the angle, which is that of the instrument.
    angle = np.linspace(5.0, 90.0, 4251)
    first = known & (angle < 50)
    assert np.corrcoef(gridded[first], expected[first])[0, 1] > 0.99
    peaks = (expected[1:-1] > expected[:-2]) & (expected[1:-1] > expected[2:]) & (expected[1:-1] > 0.05) & known[1:-1]
    heights = (gridded[1:-1] > gridded[:-2]) & (gridded[1:-1] >= gridded[2:]) & (gridded[1:-1] > 0.01)
    for at in angle[1:-1][peaks]:
        assert np.abs(angle[1:-1][heights] - at).min() < 0.05
