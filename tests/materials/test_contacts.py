from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.materials.contacts import covalent_radii_angstrom, group_sums, overlap, shortest_contacts
from matbind.materials.structure import Structure, structure_of

DATA = Path(__file__).parents[2] / "data"


def contacts(structure) -> np.ndarray:
    radii = covalent_radii_angstrom()[structure.atomic_number]
    return shortest_contacts(structure.lattice[None], structure.frac_coords, radii, np.array([0, structure.n_sites]))[0]


def test_fcc_copper_touches_its_own_images():
    primitive = 3.61 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    shortest = shortest_contacts(primitive[None], np.zeros((1, 3)), np.array([1.32]), np.array([0, 1]))
    np.testing.assert_allclose(shortest, [[3.61 / np.sqrt(2), 3.61 / np.sqrt(2) / 2.64]])


def test_a_very_skewed_cell_has_the_distance_of_its_straight_one():
    straight = np.diag([3.0, 4.0, 5.0])
    skewed = np.array([[1.0, 0, 0], [7, 1, 0], [-5, 9, 1]]) @ straight
    shortest = shortest_contacts(skewed[None], np.full((1, 3), 0.3), np.array([1.0]), np.array([0, 1]))
    assert shortest[0, 0] == pytest.approx(3.0)


def test_the_shortest_ratio_need_not_be_the_shortest_distance():
    coords = np.array([[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.5], [0.62, 0.5, 0.5]])
    shortest = shortest_contacts(np.eye(3)[None] * 10, coords, np.array([0.3, 0.3, 2.0, 2.0]), np.array([0, 4]))
    np.testing.assert_allclose(shortest, [[1.0, 0.3]])


def test_distances_equal_pymatgen_on_the_sample():
    rows = pl.read_parquet(DATA / "structures.parquet").gather_every(200)
    for row in rows.iter_rows(named=True):
        structure = structure_of(row)
        neighbours = structure.to_pymatgen().get_neighbor_list(r=8.0)
        assert contacts(structure)[0] == pytest.approx(neighbours[3].min(), rel=1e-6)


def test_group_sums_of_empty_stretches_are_zero():
    np.testing.assert_array_equal(group_sums(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 2, 3])), [0, 3, 4])


@pytest.mark.parametrize(
    ("distance", "fault"),
    [(0.55, None), (0.45, "two atoms are 0.450 angstrom apart, expected at least 0.5")],
)
def test_atoms_closer_than_any_bond_overlap(distance, fault):
    assert overlap(Structure.ordered(np.eye(3) * 5, [[0, 0, 0], [distance / 5, 0, 0]], [1, 1])) == fault


def test_an_atom_overlaps_with_its_own_image_in_a_cell_that_is_too_small():
    assert overlap(Structure.ordered(np.eye(3) * 0.3, [[0, 0, 0]], [1])) is not None
