from __future__ import annotations

import numpy as np

from matbind.modalities.dos.baseline import N_BINS, description, inputs
from matbind.modalities.dos.records import Dos
from tests.factories import rocksalt

ENERGIES = np.linspace(-20, 15, 701)


def test_a_density_is_binned_per_atom():
    described = description(Dos(ENERGIES, np.full(701, 8.0), 0.0), rocksalt())
    assert described.shape == (N_BINS,)
    np.testing.assert_allclose(described, 1.0, rtol=1e-5)  # eight atoms


def test_what_was_not_calculated_counts_as_no_state():
    described = description(Dos(ENERGIES[:501], np.full(501, 8.0), 0.0), rocksalt())  # up to 5 of 10 eV
    np.testing.assert_allclose(described[:330], 1.0, rtol=1e-5)
    np.testing.assert_array_equal(described[-80:], 0.0)


def test_a_density_that_cannot_be_used_is_none():
    assert description(Dos(ENERGIES, np.zeros(701), 0.0), rocksalt()) is None


def test_square_roots_enter_and_negative_values_count_as_nothing():
    curves = [np.array([4.0, 0.0, -1.0]), np.array([9.0, 1.0, 0.25])]
    assert inputs(curves, train=np.ones(2, bool)).tolist() == [[2.0, 0.0, 0.0], [3.0, 1.0, 0.5]]
