"""Elementary functions for compiled loops: numba calls the C library for each number, these compute in vectors."""

from __future__ import annotations

import numpy as np
from numba import njit

ZERO, ONE = np.float32(0), np.float32(1)
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
DEEPEST = np.float32(87)  # exp(-87) is the smallest that single precision has in full
EXP = tuple(np.float32(1 / n) for n in (5040, 720, 120, 24, 6, 2))
LOG1P = tuple(  # of log(1 + u) / u for 0 <= u <= 1, the highest power first
    np.float32(coefficient)
    for coefficient in (
        -3.176057053e-03,
        1.954252744e-02,
        -5.637361321e-02,
        1.054362384e-01,
        -1.526966710e-01,
        1.966327427e-01,
        -2.495161627e-01,
        3.332971050e-01,
        -4.999989265e-01,
        9.999999947e-01,
    )
)
# Sums may be done in any order, which is what lets the compiler use vectors.
compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
inlined = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}, inline="always")


@inlined
def exp_of_negative(a: np.float32) -> np.float32:
    """Compute exp(-a) of a >= 0: a power of two, by its bits, and a series of what is left."""
    a = min(a, DEEPEST)
    power = np.int32(a * LOG2_E + np.float32(0.5))
    whole = np.float32(power)
    r = (whole * LN2_HIGH - a) + whole * LN2_LOW
    p = EXP[0]
    p = p * r + EXP[1]
    p = p * r + EXP[2]
    p = p * r + EXP[3]
    p = p * r + EXP[4]
    p = p * r + EXP[5]
    return (p * r * r + r + ONE) * np.int32((np.int32(127) - power) << np.int32(23)).view(np.float32)


@inlined
def log1p_to_one(u: np.float32) -> np.float32:
    """Compute log(1 + u) of 0 <= u <= 1: the polynomial through ten Chebyshev points, right to 2e-7."""
    p = LOG1P[0]
    p = p * u + LOG1P[1]
    p = p * u + LOG1P[2]
    p = p * u + LOG1P[3]
    p = p * u + LOG1P[4]
    p = p * u + LOG1P[5]
    p = p * u + LOG1P[6]
    p = p * u + LOG1P[7]
    p = p * u + LOG1P[8]
    p = p * u + LOG1P[9]
    return p * u
