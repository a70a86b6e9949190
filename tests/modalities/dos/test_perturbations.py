from __future__ import annotations

import numpy as np
import pytest

from matbind.modalities.dos.perturbations import PERTURBATIONS
from tests.modalities.rows import BOUNDS, peaks, width_of


@pytest.mark.parametrize(("strength", "expected"), [(0.5, 105), (1.0, 110)])
def test_a_shift_moves_the_peak_by_its_strength(strength, expected):
    shifted = PERTURBATIONS["shift"](peaks(), strength, bounds=BOUNDS)
    np.testing.assert_array_equal(shifted.argmax(axis=1), expected)


def test_broadening_adds_in_squares_and_loses_no_state():
    # Sigma 3 bins, and 0.4 eV are 4 bins: together 5.
    row = np.exp(-(((np.arange(400) - 200) / 3.0) ** 2) / 2)[None].astype(np.float32)
    density = PERTURBATIONS["broadening"](row, 0.4, bounds=BOUNDS)
    assert width_of(density[0]) == pytest.approx(5.0, rel=0.01)
    assert density.sum() == pytest.approx(row.sum(), rel=1e-5)
