"""What recall depends on besides the model: the size of the gallery, and what is counted as the same material."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import CHUNK_SIZE, MIN_ROWS, TIE_TOLERANCE
from matbind.evaluation.vectors import unit_rows

FloatArray = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def expected_recall(ranks: IntArray, *, k: int, gallery_size: int) -> float:
    """Expected recall@k if the gallery were a random subset that holds the true key.

    Of the n - 1 other keys, drawn without replacement from N - 1, a hypergeometric number is at least as similar as the
    true one; the query hits if that is below k. Nothing is sampled.

    Args:
        ranks: 1-based ranks in the full gallery, one a query, shape (N,); ties count against the query.
        k: size of the short list.
        gallery_size: n, from 1 to N.

    Returns:
        A number in [0, 1]; chance is k / n.

    Raises:
        ValueError: if k < 1 or the gallery size is not in 1 to N.
    """
    from scipy.stats import hypergeom

    n_keys = len(ranks)
    if k < 1:
        raise ValueError(f"{k=} has to be at least 1")
    if not 1 <= gallery_size <= n_keys:
        raise ValueError(f"{gallery_size=} has to be between 1 and the {n_keys} keys that were ranked")
    better, counts = np.unique(ranks - 1, return_counts=True)
    hit = hypergeom.cdf(k - 1, n_keys - 1, better, gallery_size - 1)
    return float(np.average(hit, weights=counts))


def recall_by_gallery_size(ranks: IntArray, *, k: int, sizes: Sequence[int] | None = None) -> dict[int, float]:
    """Expected recall@k against the size of the gallery; see `expected_recall`.

    Args:
        ranks: shape (N,).
        k: size of the short list.
        sizes: gallery sizes; powers of two up to N, and N, if not given.
    """
    if sizes is None:
        sizes = sorted({2**power for power in range(1, int(np.log2(len(ranks))) + 1)} | {len(ranks)})
    return {size: expected_recall(ranks, k=k, gallery_size=size) for size in sizes}


def distractors_ahead(
    query: FloatArray, key: FloatArray, distractors: FloatArray, *, chunk_size: int = CHUNK_SIZE
) -> IntArray:
    """How many keys of other materials are at least as similar to each query as its true key.

    Args:
        query: shape (n, d).
        key: of the same materials in the same order, shape (n, d).
        distractors: of materials that are not asked for, shape (n_distractors, d).
        chunk_size: queries at a time; changes memory, not the result.

    Returns:
        Shape (n,); added to the rank among the keys, the rank in the gallery of keys and distractors.

    Raises:
        ValueError: if the shapes of query and key differ.
    """
    if query.shape != key.shape:
        raise ValueError(f"{query.shape=} and {key.shape=} differ")
    unit_query, unit_key, unit_other = unit_rows(query), unit_rows(key), unit_rows(distractors)
    threshold = np.einsum("id,id->i", unit_query, unit_key) - TIE_TOLERANCE
    found = np.empty(len(query), dtype=np.int64)
    for start in range(0, len(query), chunk_size):
        rows = slice(start, start + chunk_size)
        found[rows] = np.count_nonzero(unit_query[rows] @ unit_other.T >= threshold[rows, None], axis=1)
    return found


def label_ranks(
    query: FloatArray, key: FloatArray, labels: Sequence[object], *, chunk_size: int = CHUNK_SIZE
) -> IntArray:
    """Rank of the best key that has the query's label: 1 + the number of others at least as similar.

    Args:
        query: shape (n, d).
        key: of the same materials in the same order, shape (n, d).
        labels: such as formulas or prototypes, one a material; None is a label of its own each time.
        chunk_size: queries at a time; changes memory, not the result.

    Returns:
        1-based ranks, shape (n,), never larger than that of the true key. Ties with keys of another label count against
        the query.

    Raises:
        ValueError: if shapes differ or there are fewer than two materials.
    """
    if query.shape != key.shape or len(labels) != len(query):
        raise ValueError(f"{query.shape=}, {key.shape=} and {len(labels)} labels differ in their rows")
    if len(query) < MIN_ROWS:
        raise ValueError(f"retrieval needs at least {MIN_ROWS} materials, found {len(query)}")
    number = label_numbers(labels)
    unit_query, unit_key = unit_rows(query), unit_rows(key)
    found = np.empty(len(query), dtype=np.int64)
    for start in range(0, len(query), chunk_size):
        rows = slice(start, start + chunk_size)
        similarity = unit_query[rows] @ unit_key.T
        same = number[rows, None] == number
        best = np.where(same, similarity, -np.inf).max(axis=1, keepdims=True)
        found[rows] = 1 + np.count_nonzero(~same & (similarity >= best - TIE_TOLERANCE), axis=1)
    return found


def label_chance(labels: Sequence[object], *, k: int) -> float:
    """Expected recall@k by label of a model that knows nothing.

    Args:
        labels: as in `label_ranks`.
        k: size of the short list.
    """
    from scipy.stats import hypergeom

    _, inverse, counts = np.unique(label_numbers(labels), return_inverse=True, return_counts=True)
    n = len(labels)
    none_found = hypergeom.pmf(0, n, counts[inverse], min(k, n))
    return float(np.mean(1 - none_found))


def label_numbers(labels: Sequence[object]) -> IntArray:
    """Number the labels so that equal ones share a number and every None has its own."""
    numbers: dict[object, int] = {}
    keys = [(label,) if label is not None else i for i, label in enumerate(labels)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
