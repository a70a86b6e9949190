from __future__ import annotations

import numpy as np
import pytest

from matbind.materials.diffraction import broaden, pattern_grid, reflections
from matbind.materials.scattering import FORM_FACTOR_PREFACTOR, form_factor_table
from matbind.materials.structure import Structure
from matbind.materials.structure_factors import MERGE_PER_ANGSTROM, partial_structure_factors
from tests.factories import copper, mixed, rocksalt, supercell, triclinic

WAVELENGTH_ANGSTROM = 1.54184


def form_factor(number: int, g: np.ndarray) -> np.ndarray:
    s2 = g**2 / 4
    a, b = form_factor_table()[number - 1].T
    return number - FORM_FACTOR_PREFACTOR * s2 * (a * np.exp(-np.outer(s2, b))).sum(axis=1)


def lengths(peaks) -> np.ndarray:
    return np.linalg.norm(peaks.g_vector.astype(float), axis=1)


@pytest.mark.parametrize(
    "structure", [copper(), rocksalt(), triclinic(), mixed()], ids=["cu", "nacl", "triclinic", "mixed"]
)
def test_form_factors_and_the_lorentz_factor_give_the_pattern(structure):
    g_stop = 2 * np.sin(np.radians(45)) / WAVELENGTH_ANGSTROM
    peaks = partial_structure_factors(structure, g_stop_per_angstrom=g_stop)
    g = lengths(peaks)
    two_theta = 2 * np.arcsin(g * WAVELENGTH_ANGSTROM / 2)
    weight = np.stack([form_factor(a, g) * form_factor(b, g) for a, b in peaks.pairs.astype(int)], axis=1)
    factor = (1 + np.cos(two_theta) ** 2) / (np.sin(two_theta / 2) ** 2 * np.cos(two_theta / 2))
    intensity = (peaks.partial * weight).sum(axis=1) * factor
    expected = reflections(structure, wavelength_angstrom=WAVELENGTH_ANGSTROM, two_theta_deg=(5.0, 90.0))
    # Drawn before they are compared: the two merge neighbouring reflections at different steps.
    drawn = broaden(np.degrees(two_theta), intensity, grid_deg=pattern_grid(), fwhm_deg=0.2)
    pattern = broaden(expected.two_theta_deg, expected.intensity, grid_deg=pattern_grid(), fwhm_deg=0.2)
    np.testing.assert_allclose(drawn, pattern, atol=2e-3)


def test_copper_counts_half_of_each_friedel_pair():
    peaks = partial_structure_factors(copper(3.61), g_stop_per_angstrom=0.8)
    np.testing.assert_allclose(lengths(peaks), np.sqrt([3, 4, 8]) / 3.61, rtol=1e-6)
    np.testing.assert_allclose(peaks.partial[:, 0], [4, 3, 6], rtol=1e-5)


def test_sodium_and_chlorine_scatter_against_each_other_in_the_first_peak():
    peaks = partial_structure_factors(rocksalt(5.64), g_stop_per_angstrom=0.4)
    assert peaks.pairs.tolist() == [[11, 11], [11, 17], [17, 17]]
    np.testing.assert_allclose(peaks.partial, [[1, -2, 1], [0.75, 1.5, 0.75]], atol=1e-6)


def assert_same(peaks, expected) -> None:
    np.testing.assert_array_equal(peaks.pairs, expected.pairs)
    np.testing.assert_allclose(lengths(peaks), lengths(expected), atol=2 * MERGE_PER_ANGSTROM)
    np.testing.assert_allclose(peaks.partial, expected.partial, atol=2e-5 * np.abs(expected.partial).max())


@pytest.mark.parametrize("structure", [rocksalt(), mixed(), triclinic()], ids=["nacl", "mixed", "triclinic"])
def test_a_supercell_has_the_same_peaks(structure):
    expected = partial_structure_factors(structure, g_stop_per_angstrom=0.6)
    assert_same(partial_structure_factors(supercell(structure, (2, 1, 2)), g_stop_per_angstrom=0.6), expected)


def test_the_origin_does_not_matter():
    cell = triclinic()
    moved = Structure.ordered(cell.lattice, cell.frac_coords + np.array([0.31, -1.4, 0.77]), cell.atomic_number)
    expected = partial_structure_factors(cell, g_stop_per_angstrom=0.6)
    assert_same(partial_structure_factors(moved, g_stop_per_angstrom=0.6), expected)


def test_the_orientation_does_not_matter():
    cell = triclinic()
    turn, _ = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]]))
    turned = Structure.ordered(cell.lattice @ turn, cell.frac_coords, cell.atomic_number)
    expected = partial_structure_factors(cell, g_stop_per_angstrom=0.6)
    assert_same(partial_structure_factors(turned, g_stop_per_angstrom=0.6), expected)


def test_the_order_of_the_sites_does_not_matter():
    cell = triclinic()
    order = [3, 1, 0, 2]
    shuffled = Structure.ordered(cell.lattice, cell.frac_coords[order], cell.atomic_number[order])
    expected = partial_structure_factors(cell, g_stop_per_angstrom=0.6)
    assert_same(partial_structure_factors(shuffled, g_stop_per_angstrom=0.6), expected)


def test_a_range_without_a_reflection_is_refused():
    with pytest.raises(ValueError, match=r"no reflection is shorter than 0\.1 per angstrom"):
        partial_structure_factors(copper(), g_stop_per_angstrom=0.1)
