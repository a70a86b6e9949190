from __future__ import annotations

import numpy as np
import pytest

from matbind.modalities.perturbation import row_perturbations, shifted, value_perturbations
from matbind.modalities.table import modality_names
from tests.modalities.rows import BOUNDS, peaks

ALL = [perturbation for modality in modality_names() for perturbation in row_perturbations(modality).values()]


def test_a_modality_has_perturbations_of_rows_or_of_values_or_none():
    assert set(row_perturbations("dos")) == {"shift", "broadening"}
    assert value_perturbations("dos") == {}
    assert set(value_perturbations("text")) == {"first_sentence", "without_numbers"}
    assert row_perturbations("crystal") == value_perturbations("crystal") == {}


@pytest.mark.parametrize("perturbation", ALL)
def test_strength_zero_changes_nothing(perturbation):
    rows = peaks()
    np.testing.assert_array_equal(perturbation(rows, 0.0, bounds=BOUNDS), rows)


@pytest.mark.parametrize("perturbation", ALL)
@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_rows_change_and_the_given_ones_stay(perturbation, strength):
    rows = peaks()
    changed = perturbation(rows, strength, bounds=BOUNDS)
    assert changed.dtype == np.float32
    assert not np.array_equal(changed, rows)
    np.testing.assert_array_equal(rows, peaks())


@pytest.mark.parametrize("perturbation", ALL)
def test_what_was_not_measured_stays_so(perturbation):
    rows = peaks()
    rows[:, 200:220] = np.nan
    changed = perturbation(rows, 0.5, bounds=BOUNDS)
    assert np.isnan(changed[:, 200:220]).all()
    assert np.isfinite(changed[:, 50:200]).all()


def test_half_a_bin_lies_between_two():
    row = np.zeros((1, 9), np.float32)
    row[0, 4] = 1
    np.testing.assert_allclose(
        shifted(row, 0.5, 1.0, np.random.default_rng(0))[0], [0, 0, 0, 0, 0.5, 0.5, 0, 0, 0], atol=1e-6
    )


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match=r"strength=-0\.1 has to be at least 0"):
        ALL[0](peaks(), -0.1, bounds=BOUNDS)
