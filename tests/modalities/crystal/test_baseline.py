from __future__ import annotations

import numpy as np

from matbind.materials.structure import Structure
from matbind.modalities.crystal.baseline import description


def rocksalt(cation: int, anion: int, a: float) -> Structure:
    lattice = np.array([[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]])
    return Structure.ordered(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def described(structure: Structure) -> np.ndarray:
    return description(structure, structure)


def test_features_of_rock_salt_worked_by_hand():
    a = 5.64
    features = described(rocksalt(11, 17, a))
    np.testing.assert_allclose(features[[10, 16]], np.sqrt([0.5, 0.5]))
    assert np.count_nonzero(features[:-9]) == 2
    volume = a**3 / 4
    edge = a / np.sqrt(2)
    expected = [volume / 2, (22.98976928 + 35.453) / volume, 2, edge, edge, edge]
    np.testing.assert_allclose(np.exp(features[-9:-3]), expected, rtol=1e-6)
    np.testing.assert_allclose(features[-3:], [60, 60, 60], atol=1e-6)


def test_features_do_not_depend_on_the_choice_of_cell():
    cell = np.array([[4.0, 0, 0], [0.3, 5.0, 0], [0.4, 0.7, 6.5]])
    sheared = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ cell
    one, other = (described(Structure.ordered(c, [[0, 0, 0]], [26])) for c in (cell, sheared))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_reduced_cell_equals_pymatgen():
    from pymatgen.core.lattice import Lattice

    cell = np.array([[4.0, 0, 0], [3.1, 5.0, 0], [2.4, 1.7, 6.5]])
    features = described(Structure.ordered(cell, [[0, 0, 0]], [26]))
    reduced = Lattice(cell).get_niggli_reduced_lattice()
    np.testing.assert_allclose(np.exp(features[-6:-3]), sorted(reduced.abc), rtol=1e-5)
    np.testing.assert_allclose(features[-3:], sorted(reduced.angles), rtol=1e-5)


def test_mixed_site_counts_by_occupancy():
    mixed = Structure(np.eye(3) * 4, np.zeros((1, 3)), np.array([0, 0]), np.array([12, 20]), np.array([0.36, 0.64]))
    features = described(mixed)
    np.testing.assert_allclose(features[[11, 19]], [0.6, 0.8])
