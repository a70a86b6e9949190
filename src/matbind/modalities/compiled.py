"""Elementary functions for compiled loops: numba calls the C library for each number, these compute in vectors."""

from __future__ import annotations

import numpy as np
from numba import njit

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
DEEPEST = np.float32(87)  # exp(-87) is the smallest that single precision has in full
EXP = tuple(np.float32(1 / n) for n in (5040, 720, 120, 24, 6, 2))
ARTANH = tuple(np.float32(1 / n) for n in (15, 13, 11, 9, 7, 5, 3))
# Sums may be done in any order, which is what lets the compiler use vectors.
compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
inlined = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}, inline="always")


@inlined
def exp_of_negative(a):  # type: ignore[no-untyped-def]
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
def log1p_to_one(u):  # type: ignore[no-untyped-def]
    """Compute log(1 + u) of 0 <= u <= 1: twice the series of artanh(u / (2 + u))."""
    t = u / (TWO + u)
    s = t * t
    p = ARTANH[0]
    p = p * s + ARTANH[1]
    p = p * s + ARTANH[2]
    p = p * s + ARTANH[3]
    p = p * s + ARTANH[4]
    p = p * s + ARTANH[5]
    p = p * s + ARTANH[6]
    return TWO * (t + t * s * p)
