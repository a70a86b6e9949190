from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pymatgen.analysis.diffraction.xrd import WAVELENGTHS, XRDCalculator
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from matbind.materials.diffraction import broaden, pattern_grid, reflections, scherrer_fwhm_deg, simulate_pattern
from matbind.materials.scattering import form_factor_table, lorentz_polarisation
from matbind.materials.structure import Structure
from matbind.materials.wavelengths import CUKA1_ANGSTROM, WAVELENGTH_ANGSTROM

SAMPLE = Path(__file__).parents[2] / "data" / "structures.parquet"


def from_group(group: str, lattice: Lattice, species: list[object], coords: list[list[float]]) -> Structure:
    return Structure.from_pymatgen(PymatgenStructure.from_spacegroup(group, lattice, species, coords))


def copper() -> Structure:
    face_centred = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    return Structure.ordered(np.eye(3) * 3.61, face_centred, [29] * 4)


def triclinic() -> Structure:
    lattice = Lattice.from_parameters(5.1, 6.3, 7.7, 81.0, 97.0, 106.0).matrix
    coords = [[0.11, 0.22, 0.33], [0.61, 0.05, 0.84], [0.37, 0.71, 0.12], [-1.10, 2.55, 0.47]]
    return Structure.ordered(lattice, coords, [20, 14, 8, 8])


def assert_equals_oracle(structure: Structure, **options) -> None:
    """Peak by peak; positions may differ within the step of 1e-5 degrees in which peaks are merged."""
    window = options.get("two_theta_deg", (5.0, 90.0))
    calculator = XRDCalculator(wavelength=options.get("wavelength_angstrom", "CuKa"), symprec=0)
    expected = calculator.get_pattern(structure.to_pymatgen(), two_theta_range=window)
    peaks = reflections(structure, **options)
    strong = expected.y > 0.01
    np.testing.assert_allclose(peaks.two_theta_deg[peaks.intensity > 0.01], expected.x[strong], atol=1.1e-5)
    np.testing.assert_allclose(peaks.intensity[peaks.intensity > 0.01], expected.y[strong], rtol=1e-9)


CRYSTALS = {
    "copper": copper(),
    "triclinic": triclinic(),
    "rutile": from_group("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "hexagonal": from_group("P6_3/mmc", Lattice.hexagonal(2.95, 4.68), ["Ti"], [[1 / 3, 2 / 3, 0.25]]),
    "monoclinic": from_group("C2/m", Lattice.monoclinic(12, 4, 6, 107), ["Ti", "O"], [[0.2, 0, 0.3], [0.4, 0, 0.1]]),
    "heavy": from_group("Fm-3m", Lattice.cubic(5.47), ["U", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
    "light": from_group("Fm-3m", Lattice.cubic(4.08), ["Li", "H"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "mixed": from_group("Pm-3m", Lattice.cubic(3.8), [{"Ba": 0.6, "Sr": 0.3}, "Ti"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "long": Structure.ordered(np.diag([3.0, 4.0, 45.0]), [[0, 0, 0.09 * n] for n in range(10)], [3, 8, 9, 25, 8] * 2),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_peaks_equal_pymatgen(name):
    assert_equals_oracle(CRYSTALS[name])


def test_peaks_equal_pymatgen_at_another_wavelength_and_window():
    assert_equals_oracle(CRYSTALS["rutile"], wavelength_angstrom=0.70930, two_theta_deg=(12.0, 150.0))


def test_peaks_equal_pymatgen_in_a_skewed_cell():
    change = np.array([[1, 0, 0], [7, 1, 0], [-3, 5, 1]])
    cell = triclinic()
    coords = cell.frac_coords @ np.linalg.inv(change)
    assert_equals_oracle(Structure.ordered(change @ cell.lattice, coords, cell.atomic_number))


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of structures has not been pulled")
def test_peaks_equal_pymatgen_on_real_crystals():
    rows = pl.read_parquet(SAMPLE, columns=["lattice", "atomic_numbers", "frac_coords"]).sample(20, seed=2)
    for row in rows.iter_rows(named=True):
        lattice, coords = (np.array(row[name]).reshape(-1, 3) for name in ("lattice", "frac_coords"))
        assert_equals_oracle(Structure.ordered(lattice, coords, row["atomic_numbers"]))


def test_copper_shows_its_first_three_lines():
    peaks = reflections(copper(), wavelength_angstrom=CUKA1_ANGSTROM)
    np.testing.assert_allclose(peaks.two_theta_deg, [43.380, 50.525, 74.246], atol=2e-3)


def test_g_vectors_have_the_length_of_their_peak():
    peaks = reflections(triclinic())
    length = np.linalg.norm(peaks.g_vector.astype(np.float64), axis=1)
    np.testing.assert_allclose(length, 2 * np.sin(np.radians(peaks.two_theta_deg / 2)) / 1.54184, rtol=1e-6)
    assert peaks.g_vector.dtype == np.float32


def test_g_vectors_are_points_of_the_reciprocal_lattice():
    structure = triclinic()
    indices = reflections(structure).g_vector @ structure.lattice.T
    np.testing.assert_allclose(indices, indices.round(), atol=1e-5)


def test_the_strongest_reflection_stands_for_a_merged_peak():
    # A cubic cell with a layered filling: 100 is absent, 001 is not, and both lie at the same angle.
    layered = Structure.ordered(np.eye(3) * 4.0, [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0]], [29] * 4)
    first = reflections(layered)
    np.testing.assert_allclose(np.abs(first.g_vector[0]), [0.0, 0.0, 0.25], atol=1e-6)


def test_the_strongest_peak_is_one_hundred_and_angles_ascend():
    peaks = reflections(triclinic())
    assert peaks.intensity.max() == 100.0
    assert (np.diff(peaks.two_theta_deg) > 0).all()


def test_shifting_and_turning_the_crystal_keeps_the_peaks():
    cell = triclinic()
    turn, _ = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]]))
    moved = Structure.ordered(cell.lattice @ turn, cell.frac_coords + np.array([0.3, -2.2, 7.7]), cell.atomic_number)
    np.testing.assert_allclose(reflections(moved).intensity, reflections(cell).intensity, rtol=1e-8)


def test_a_supercell_has_the_peaks_of_its_cell():
    supercell = Structure.from_pymatgen(copper().to_pymatgen() * (3, 2, 2))
    np.testing.assert_allclose(reflections(supercell).intensity, reflections(copper()).intensity, rtol=1e-9)


def test_the_form_factors_are_those_that_stored_patterns_were_made_with():
    table = form_factor_table()
    assert table.shape == (98, 4, 2)
    np.testing.assert_array_equal(table[5], [[0.731, 36.995], [1.195, 11.297], [0.456, 2.814], [0.125, 0.346]])  # C
    assert hashlib.sha256(table.tobytes()).hexdigest().startswith("39ce881f211774c0")


def test_the_wavelengths_equal_those_of_pymatgen_but_for_the_usual_copper():
    differing = {name for name, value in WAVELENGTH_ANGSTROM.items() if WAVELENGTHS[name] != value}
    assert differing == {"CuKa1"}
    assert WAVELENGTH_ANGSTROM["CuKa1"] == pytest.approx(WAVELENGTHS["CuKa1"], abs=5e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"two_theta_deg": (5.0, 20.0)}, "No reflection lies between 5.0 and 20.0"),
        ({"two_theta_deg": (5.0, 5.1)}, "No reflection"),
        ({"two_theta_deg": (45.0, 48.0)}, "No reflection"),
        ({"two_theta_deg": (90.0, 5.0)}, "expected 0 <= start < stop < 180"),
        ({"two_theta_deg": (5.0, 180.0)}, "expected 0 <= start < stop < 180"),
        ({"two_theta_deg": (5.0, float("nan"))}, "expected 0 <= start < stop < 180"),
        ({"wavelength_angstrom": 0.0}, "wavelength_angstrom is 0.0"),
        ({"wavelength_angstrom": 50.0}, "No reflection"),
    ],
)
def test_reflections_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        reflections(copper(), **options)


def test_an_element_without_form_factor_is_refused():
    with pytest.raises(ValueError, match="Atomic number 100 has no X-ray form factor"):
        reflections(Structure.ordered(np.eye(3) * 4.0, [[0, 0, 0]], [100]))


def test_scherrer_gives_the_known_width_in_degrees():
    width = scherrer_fwhm_deg([40.0], crystallite_size_nm=20.0, wavelength_angstrom=1.5406)
    np.testing.assert_allclose(width, [0.4227], atol=5e-5)


def test_scherrer_widens_with_angle_and_narrows_with_size():
    angles = np.array([20.0, 50.0, 80.0])
    small, large = (scherrer_fwhm_deg(angles, crystallite_size_nm=size) for size in (10.0, 40.0))
    assert (np.diff(small) > 0).all()
    np.testing.assert_allclose(small / large, 4.0)


@pytest.mark.parametrize("option", ["crystallite_size_nm", "wavelength_angstrom"])
def test_scherrer_refuses_what_is_not_positive(option):
    with pytest.raises(ValueError, match=f"{option} is -1.0"):
        scherrer_fwhm_deg([40.0], **({"crystallite_size_nm": 20.0} | {option: -1.0}))


def test_the_default_grid_has_steps_of_a_hundredth():
    grid = pattern_grid()
    assert grid.shape == (8501,)
    np.testing.assert_allclose(grid[[0, 1, -1]], [5.0, 5.01, 90.0])


@pytest.mark.parametrize("options", [{"start_deg": 90.0}, {"stop_deg": 181.0}, {"n_points": 1}])
def test_a_senseless_grid_is_refused(options):
    with pytest.raises(ValueError, match="expected"):
        pattern_grid(**options)


def test_a_peak_is_the_gaussian_of_its_width():
    grid = pattern_grid()
    pattern = broaden([40.0], [7.0], grid_deg=grid, fwhm_deg=0.5)
    sigma = 0.5 / 2.3548200450309493
    expected = np.exp(-((grid - 40.0) ** 2) / (2 * sigma**2))
    inside = np.abs(grid - 40.0) < 3.99 * sigma
    np.testing.assert_allclose(pattern[inside], expected[inside], rtol=1e-5)
    assert (pattern[np.abs(grid - 40.0) > 4.01 * sigma] == 0).all()


@pytest.mark.parametrize("fwhm_deg", [0.001, 0.05, 1.0])
def test_the_area_of_a_peak_does_not_depend_on_its_width(fwhm_deg):
    for center in (40.0, 40.003, 40.005):
        pattern = broaden([20.0, center], [1.0, 5.0], grid_deg=pattern_grid(), fwhm_deg=[0.2, fwhm_deg])
        assert pattern[2500:].sum() / pattern[:2500].sum() == pytest.approx(5.0, rel=0.02)


def test_equal_areas_of_unequal_widths_have_unequal_heights():
    pattern = broaden([30.0, 60.0], [1.0, 1.0], grid_deg=pattern_grid(), fwhm_deg=[0.2, 0.4])
    np.testing.assert_allclose(pattern[[2500, 5500]], [1.0, 0.5], rtol=1e-6)


def test_a_narrow_grid_is_a_cut_out_of_the_wide_one():
    peaks = ([30.0, 39.9, 45.0, 50.2], [1.0, 2.0, 9.0, 3.0])  # the highest is in both
    width = np.array([0.3, 0.4, 0.4, 0.5])
    wide = broaden(*peaks, grid_deg=pattern_grid(), fwhm_deg=width)
    grid = pattern_grid(start_deg=40.0, stop_deg=50.0, n_points=1001)
    narrow = broaden(*peaks, grid_deg=grid, fwhm_deg=width)
    np.testing.assert_allclose(narrow, wide[3500:4501], rtol=1e-5, atol=1e-7)


GRID = pattern_grid(n_points=851)


@pytest.mark.parametrize(
    ("center", "area", "grid", "width", "message"),
    [
        ([30.0], [1.0, 2.0], GRID, 0.2, "expected one value a peak"),
        ([30.0], [1.0], GRID, [0.2, 0.3], "expected one value a peak"),
        ([np.nan], [1.0], GRID, 0.2, "not finite"),
        ([30.0], [-1.0], GRID, 0.2, "must not be negative"),
        ([30.0], [1.0], GRID, 0.0, "must be positive"),
        ([30.0], [1.0], GRID[::-1], 0.2, "ascend in even steps"),
        ([30.0], [1.0], GRID**2, 0.2, "ascend in even steps"),
        ([30.0], [1.0], GRID[:1], 0.2, "at least two points"),
        ([120.0], [1.0], GRID, 0.2, "No peak falls on the grid"),
        ([], [], GRID, 0.2, "No peak falls on the grid"),
    ],
)
def test_broaden_refuses(center, area, grid, width, message):
    with pytest.raises(ValueError, match=message):
        broaden(center, area, grid_deg=grid, fwhm_deg=width)


def test_a_simulated_pattern_is_float32_between_zero_and_one():
    pattern = simulate_pattern(triclinic(), crystallite_size_nm=50.0)
    assert (pattern.dtype, pattern.shape) == (np.float32, (8501,))
    assert (pattern.min(), pattern.max()) == (0.0, 1.0)


def test_larger_crystallites_give_narrower_peaks():
    halves = [(simulate_pattern(copper(), crystallite_size_nm=size) > 0.5).sum() for size in (10.0, 30.0, 90.0)]
    assert halves[0] > halves[1] > halves[2]


def test_a_simulated_pattern_has_its_maximum_at_the_strongest_line():
    pattern = simulate_pattern(copper(), crystallite_size_nm=50.0)
    assert pattern_grid()[pattern.argmax()] == pytest.approx(43.42, abs=0.011)


def test_a_simulated_pattern_follows_its_grid():
    grid = pattern_grid(start_deg=40.0, stop_deg=60.0, n_points=401)
    assert simulate_pattern(copper(), crystallite_size_nm=50.0, grid_deg=grid).shape == (401,)


def test_the_lorentz_polarisation_factor_at_sixty_degrees():
    double = np.radians(60.0)
    numerator, denominator = lorentz_polarisation(np.sin(double / 2) ** 2, np.cos(double / 2), np.cos(double))
    assert numerator / denominator == pytest.approx(1.25 / (0.25 * np.sqrt(0.75)))
