"""The shape of an embedding space: alignment, uniformity, modality gap, effective rank, and an alarm for collapse.

Everything is measured on the rows divided by their lengths, as the cosine sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import CHUNK_SIZE, MIN_ROWS
from matbind.modalities.combinations import pair_name

FloatArray = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]

UNIFORMITY_T = 2.0
# An embedding that uses fewer directions than this, or whose vectors all but coincide, tells few materials apart.
LEAST_EFFECTIVE_RANK = 2.0
LARGEST_MEAN_COSINE = 0.99


def unit_rows(values: FloatArray) -> DoubleArray:
    """Rows divided by their lengths, in double precision; rows of length zero stay zero.

    Args:
        values: shape (n, d).
    """
    wide = np.asarray(values, dtype=np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, length, out=np.zeros_like(wide), where=length > 0))


def held_rows(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows are finite: a material that lacks the modality has a row of NaN.

    Args:
        values: shape (n, d).

    Returns:
        Shape (n,).
    """
    return np.asarray(np.isfinite(values).all(axis=1))


def alignment(a: FloatArray, b: FloatArray) -> float:
    """Mean squared distance between the two embeddings of a material; 0 is perfect, 2 that of unrelated directions.

    Args:
        a: shape (n, d).
        b: of the same materials in the same order, shape (n, d).

    Raises:
        ValueError: if the shapes differ or there is no row.

    Source: Wang and Isola 2020, Equation 2 with alpha = 2.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"alignment needs two equal shapes (n, d) with n >= 1, found {a.shape=} and {b.shape=}")
    return float(np.mean(((unit_rows(a) - unit_rows(b)) ** 2).sum(axis=1)))


def uniformity(values: FloatArray, *, t: float = UNIFORMITY_T, chunk_size: int = CHUNK_SIZE) -> float:
    """Logarithm of the mean Gaussian potential between different materials; the lower, the more evenly spread.

    Args:
        values: shape (n, d).
        t: of the potential exp(-t |x - y|^2).
        chunk_size: rows of a block of pairs; changes memory, not the result.

    Returns:
        At most 0 (all the same); about -2t for evenly spread directions in many dimensions.

    Raises:
        ValueError: if there are fewer than two rows.

    Source: Wang and Isola 2020, Equation 3.
    """
    n = len(values)
    if n < MIN_ROWS:
        raise ValueError(f"uniformity needs at least {MIN_ROWS} rows, found {n}")
    unit = unit_rows(values)
    squares = (unit**2).sum(axis=1)
    total = 0.0
    for start in range(0, n, chunk_size):
        rows = slice(start, start + chunk_size)
        distance = squares[rows, None] + squares - 2 * unit[rows] @ unit.T
        total += float(np.exp(-t * np.maximum(distance, 0.0)).sum())
    return float(np.log((total - n) / (n * (n - 1))))  # a row is at distance 0 of itself: n times exp(0)


def modality_gap(a: FloatArray, b: FloatArray) -> float:
    """Distance between the mean vectors of two modalities, in [0, 2].

    Args:
        a: shape (n_a, d).
        b: shape (n_b, d); the materials may be others.

    Raises:
        ValueError: if a side has no row.

    Source: Liang et al. 2022, Section 2.
    """
    if not len(a) or not len(b):
        raise ValueError(f"the modality gap needs rows on both sides, found {len(a)} and {len(b)}")
    return float(np.linalg.norm(unit_rows(a).mean(axis=0) - unit_rows(b).mean(axis=0)))


def effective_rank(values: FloatArray, *, centred: bool = True) -> float:
    """Exponential of the entropy of the normalised singular values: how many directions the embedding uses.

    Args:
        values: shape (n, d).
        centred: whether the mean vector is taken off first; without it a common offset counts as a direction.

    Returns:
        From 1 to min(n, d); 0 if all rows are the same.

    Raises:
        ValueError: if there is no row.

    Source: Roy and Vetterli 2007, Definition 1.
    """
    if not len(values):
        raise ValueError("the effective rank of no rows is not defined")
    unit = unit_rows(values)
    singular = np.linalg.svd(unit - unit.mean(axis=0) if centred else unit, compute_uv=False)
    # The mean of equal rows is off by rounding: what is left after it is taken off is no direction.
    singular = singular[singular > np.sqrt(len(unit)) * np.finfo(np.float64).eps * max(unit.shape)]
    if not len(singular):
        return 0.0
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def collapse_alarm(
    values: FloatArray,
    *,
    least_effective_rank: float = LEAST_EFFECTIVE_RANK,
    largest_mean_cosine: float = LARGEST_MEAN_COSINE,
) -> list[str]:
    """Say whether an embedding has collapsed.

    Args:
        values: shape (n, d).
        least_effective_rank: directions around the mean below which there is an alarm.
        largest_mean_cosine: mean cosine between different materials above which there is an alarm.

    Returns:
        One sentence a reason; empty if all is well.
    """
    held = values[held_rows(values)]
    reasons = [f"{len(values) - len(held)} of {len(values)} rows are not finite"] if len(held) < len(values) else []
    if len(held) < MIN_ROWS:
        return [*reasons, f"{len(held)} rows are too few to compare"]
    unit = unit_rows(held)
    n = len(unit)
    # The squared length of the sum holds every cosine twice, and each row's own.
    cosine = float(((unit.sum(axis=0) ** 2).sum() - (unit**2).sum()) / (n * (n - 1)))
    rank = effective_rank(held)
    if rank < least_effective_rank:
        reasons.append(f"effective rank {rank:.2f} is below {least_effective_rank:g} of {held.shape[1]} dimensions")
    if cosine > largest_mean_cosine:
        reasons.append(f"mean cosine between materials {cosine:.4f} is above {largest_mean_cosine:g}")
    return reasons


def describe_space(embeddings: Mapping[str, FloatArray]) -> dict[str, dict[str, Any]]:
    """All measures of one model's embeddings.

    Args:
        embeddings: of each modality, shape (n, d), the same materials in the same order; NaN rows where one lacks it.

    Returns:
        ``modalities``: for each ``n``, ``uniformity``, ``effective_rank`` and ``alarm`` (sentences); ``pairs``: for
        each unordered pair, written ``crystal->dos``, ``n``, ``alignment`` and ``modality_gap``, over the materials
        that hold both. Those with fewer than two materials are left out.
    """
    held = {name: held_rows(values) for name, values in embeddings.items()}
    modalities = {}
    for name, values in embeddings.items():
        own = values[held[name]]
        if len(own) >= MIN_ROWS:
            modalities[name] = {
                "n": len(own),
                "uniformity": uniformity(own),
                "effective_rank": effective_rank(own),
                "alarm": collapse_alarm(own),
            }
    pairs = {}
    for first, second in combinations(embeddings, 2):
        both = held[first] & held[second]
        if both.sum() >= MIN_ROWS:
            a, b = embeddings[first][both], embeddings[second][both]
            pairs[pair_name(first, second)] = {
                "n": len(a),
                "alignment": alignment(a, b),
                "modality_gap": modality_gap(a, b),
            }
    return {"modalities": modalities, "pairs": pairs}
