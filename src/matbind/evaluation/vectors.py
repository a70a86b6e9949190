"""The shape of an embedding space: alignment, uniformity, modality gap, effective rank, and an alarm for collapse.

Everything is measured on the rows divided by their lengths, as the cosine sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from matbind.evaluation.retrieval import CHUNK_SIZE, MIN_ROWS, FloatArray, present_rows, unit_rows
from matbind.modalities.combinations import pair_name

UNIFORMITY_T = 2.0
# An embedding that uses fewer directions than this, or whose vectors all but coincide, tells few materials apart.
LEAST_EFFECTIVE_RANK = 2.0
LARGEST_MEAN_COSINE = 0.99


def alignment(first: FloatArray, second: FloatArray) -> float:
    """Return the mean squared distance between the two embeddings of a material.

    Args:
        first: shape (n, d).
        second: of the same materials in the same order, shape (n, d).

    Returns:
        0 if they are the same, 2 for unrelated directions.

    Source: Wang and Isola 2020, Equation 2 with alpha = 2.
    """
    return float(np.mean(((unit_rows(first) - unit_rows(second)) ** 2).sum(axis=1)))


def uniformity(values: FloatArray) -> float:
    """Return the logarithm of the mean Gaussian potential exp(-t |x - y|^2), t = 2, between different materials.

    Args:
        values: shape (n, d), two rows or more.

    Returns:
        At most 0 (all the same); about -2t for evenly spread directions in many dimensions.

    Source: Wang and Isola 2020, Equation 3.
    """
    n = len(values)
    unit = unit_rows(values)
    squares = (unit**2).sum(axis=1)
    total = 0.0
    for start in range(0, n, CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        distance = squares[rows, None] + squares - 2 * unit[rows] @ unit.T
        total += float(np.exp(-UNIFORMITY_T * np.maximum(distance, 0.0)).sum())
    return float(np.log((total - n) / (n * (n - 1))))  # a row is at distance 0 of itself: n times exp(0)


def modality_gap(first: FloatArray, second: FloatArray) -> float:
    """Return the distance between the mean vectors of two modalities, in [0, 2].

    Args:
        first: shape (n_first, d).
        second: shape (n_second, d); the materials may be others.

    Source: Liang et al. 2022, Section 2.
    """
    return float(np.linalg.norm(unit_rows(first).mean(axis=0) - unit_rows(second).mean(axis=0)))


def effective_rank(values: FloatArray) -> float:
    """Return how many directions an embedding uses around its mean: exp(entropy of the normalised singular values).

    Args:
        values: shape (n, d).

    Returns:
        From 1 to min(n, d); 0 if all rows are the same.

    Source: Roy and Vetterli 2007, Definition 1.
    """
    unit = unit_rows(values)
    singular = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    # The mean of equal rows is off by rounding: what is left after it is taken off is no direction.
    singular = singular[singular > np.sqrt(len(unit)) * np.finfo(np.float64).eps * max(unit.shape)]
    if not len(singular):
        return 0.0
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def collapse_alarm(values: FloatArray) -> list[str]:
    """Return the reasons, one sentence each, to call an embedding collapsed; none if all is well.

    Args:
        values: shape (n, d), finite, two rows or more.
    """
    n, unit = len(values), unit_rows(values)
    # The squared length of the sum holds every cosine twice, and that of each row with itself.
    cosine = float(((unit.sum(axis=0) ** 2).sum() - (unit**2).sum()) / (n * (n - 1)))
    reasons: list[str] = []
    rank = effective_rank(values)
    if rank < LEAST_EFFECTIVE_RANK:
        reasons.append(f"effective rank {rank:.2f} is below {LEAST_EFFECTIVE_RANK:g} of {values.shape[1]} dimensions")
    if cosine > LARGEST_MEAN_COSINE:
        reasons.append(f"mean cosine between materials {cosine:.4f} is above {LARGEST_MEAN_COSINE:g}")
    return reasons


def describe_space(embeddings: Mapping[str, FloatArray]) -> dict[str, dict[str, Any]]:
    """Return all measures of the embeddings of one model.

    Args:
        embeddings: of each modality, shape (n, d), the same materials in the same order; NaN rows where one lacks it.

    Returns:
        ``modalities``: for each ``n``, ``uniformity``, ``effective_rank`` and ``alarm`` (sentences); ``pairs``: for
        each unordered pair, written ``crystal->dos``, ``n``, ``alignment`` and ``modality_gap``, over the materials
        that hold both. Those with fewer than two materials are left out.
    """
    present = {name: present_rows(values) for name, values in embeddings.items()}
    modalities = {
        name: {
            "n": len(values),
            "uniformity": uniformity(values),
            "effective_rank": effective_rank(values),
            "alarm": collapse_alarm(values),
        }
        for name in embeddings
        if len(values := embeddings[name][present[name]]) >= MIN_ROWS
    }
    pairs = {}
    for first, second in combinations(embeddings, 2):
        both = present[first] & present[second]
        if both.sum() >= MIN_ROWS:
            sides = embeddings[first][both], embeddings[second][both]
            pairs[pair_name(first, second)] = {
                "n": int(both.sum()),
                "alignment": alignment(*sides),
                "modality_gap": modality_gap(*sides),
            }
    return {"modalities": modalities, "pairs": pairs}
