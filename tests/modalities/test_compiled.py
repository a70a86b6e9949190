from __future__ import annotations

import numpy as np

from matbind.modalities.compiled import compiled, exp_of_negative, log1p_to_one


@compiled
def exponentials(x, y):
    for i in range(len(x)):
        y[i] = exp_of_negative(x[i])


@compiled
def logarithms(x, y):
    for i in range(len(x)):
        y[i] = log1p_to_one(x[i])


def test_exponentials_are_right_to_single_precision():
    x = np.concatenate([np.linspace(0, 87, 100_001), [0, 1e-12, 87]]).astype(np.float32)
    y = np.empty_like(x)
    exponentials(x, y)
    np.testing.assert_allclose(y, np.exp(-x.astype(np.float64)), rtol=2e-7)


def test_exponentials_beyond_single_precision_are_the_smallest_of_it():
    x = np.array([88, 1e9, np.inf], dtype=np.float32)
    y = np.empty_like(x)
    exponentials(x, y)
    np.testing.assert_allclose(y, np.exp(-87.0), rtol=2e-7)


def test_logarithms_are_right_to_single_precision():
    x = np.concatenate([np.linspace(0, 1, 100_001), [1e-30, 1e-7]]).astype(np.float32)
    y = np.empty_like(x)
    logarithms(x, y)
    np.testing.assert_allclose(y, np.log1p(x.astype(np.float64)), rtol=3e-7)
