from __future__ import annotations

import numpy as np
import polars as pl

from matbind.modalities.ragged import ragged


def test_lists_end_to_end_with_missing_lists_empty_and_missing_numbers_nan():
    column = ragged(pl.Series([[1.0, None], None, [], [3.0]], dtype=pl.List(pl.Float32)))
    np.testing.assert_array_equal(column.values, np.array([1.0, np.nan, 3.0], dtype=np.float32))
    np.testing.assert_array_equal(column.offsets, [0, 2, 2, 2, 3])
    np.testing.assert_array_equal(column.lengths, [2, 0, 0, 1])


def test_missing_integers_are_zero():
    column = ragged(pl.Series([[1, None]], dtype=pl.List(pl.Int16)))
    assert column.values.tolist() == [1, 0]
