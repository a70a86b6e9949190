"""How likely the best answer is to be right, and when to say that there is none.

A similarity means nothing by itself: 0.9 is much for one pair of modalities and little for another. So every pair of
what is asked with and what is searched is calibrated on the validation split: each of its materials is asked for twice,
once with it in the gallery and once without, when every answer is wrong. Half of all queries are thus of materials that
the gallery does not hold. The threshold is where 90 % of the accepted answers are right, by a cautious count; the test
split then tells what it keeps of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.files import read_json
from matbind.serving.gallery import Keys

FloatArray = npt.NDArray[np.float64]
SHARPNESS = 30.0  # of the softmax over the gallery; 14 and 60 rank answers less well by a little
PRECISION = 0.9
FEWEST_ACCEPTED = 20
MOST_QUERIES = 500
BLOCK = 128
_CERTAIN = 1e-6  # a share of the softmax this near to one is one
_PENALTY = 1e-3  # of the logistic regression, a query


@dataclass(frozen=True, slots=True)
class Confidence:
    """Calibration of one pair of what is asked with and what is searched.

    Attributes:
        weights: of 1, the similarity of the best answer, and the log odds of its share in a softmax over the gallery.
        threshold: smallest probability that counts as a confident match; None where none keeps the precision.
        validation: of the accepted answers: n, precision, and coverage (the share of the queries whose material is in
            the gallery that are accepted and right).
        test: the same on the test split, which had no part in the threshold.
    """

    weights: list[float]
    threshold: float | None
    validation: dict[str, float]
    test: dict[str, float]

    def probability(self, evidence: FloatArray) -> FloatArray:
        """Return the probability that the best answer is right, shape (n,), of what :func:`evidence_of` gives."""
        return np.asarray(1 / (1 + np.exp(-np.clip(_design(evidence) @ np.array(self.weights), -50, 50))))

    def is_confident(self, probability: float) -> bool:
        """Return whether the best answer is a match, not only the nearest thing there is."""
        return self.threshold is not None and probability >= self.threshold


def read_confidence(path: Path) -> dict[str, Confidence]:
    """Read the calibration of every pair, such as ``pxrd+text->crystal``, from a JSON file."""
    return {pair: Confidence(**content) for pair, content in read_json(path).items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers to queries of known materials.

    Attributes:
        evidence: shape (2 n, 2), the second half with the query's own material taken out of the gallery.
        right: whether the best answer was the material, shape (2 n,).
    """

    evidence: FloatArray
    right: npt.NDArray[np.bool_]


def evidence_of(similarity: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Compute what speaks for the best answer of every query.

    Args:
        similarity: of every query to every key, shape (n, n_keys); -inf for keys that are left out.

    Returns:
        Shape (n, 2): the best similarity, and its share in a softmax over the gallery.
    """
    best = similarity.max(axis=1, keepdims=True)
    share = 1 / np.exp(SHARPNESS * (similarity - best)).sum(axis=1)
    return np.stack([best[:, 0], share], axis=1).astype(np.float64)


def ask(queries: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], keys: Keys) -> Asked:
    """Ask a gallery for materials that are in it, with and without them; at most 500 of them, evenly taken.

    Args:
        queries: unit vectors, shape (n, d).
        rows: which material each is of; those that the gallery does not hold are left out.
        keys: the gallery.
    """
    known = np.flatnonzero(np.isin(rows, keys.rows))
    known = known[:: max(1, -(-len(known) // MOST_QUERIES))]
    queries, true = queries[known], np.searchsorted(keys.rows, rows[known])
    evidence, right = np.empty((2, len(true), 2)), np.zeros((2, len(true)), dtype=bool)
    for start in range(0, len(true), BLOCK):
        rows_of = slice(start, start + BLOCK)
        targets = true[rows_of]
        similarity = queries[rows_of] @ keys.vectors.T
        evidence[0, rows_of] = evidence_of(similarity)
        right[0, rows_of] = similarity.argmax(axis=1) == targets
        similarity[np.arange(len(targets)), targets] = -np.inf
        evidence[1, rows_of] = evidence_of(similarity)
    return Asked(evidence.reshape(-1, 2), right.ravel())


def calibrate(validation: Asked, test: Asked) -> Confidence:
    """Fit the probability and find the threshold on validation; measure both on test."""
    weights = _logistic(_design(validation.evidence), validation.right)
    fitted = Confidence(weights, None, {}, {})
    threshold = _threshold(fitted.probability(validation.evidence), validation.right)
    shares: list[dict[str, float]] = []
    for asked in (validation, test):
        accepted = fitted.probability(asked.evidence) >= (np.inf if threshold is None else threshold)
        known, hits = len(asked.right) / 2, float(np.count_nonzero(asked.right & accepted))
        n = int(np.count_nonzero(accepted))
        coverage = hits / known if known else 0.0
        shares.append({"n": n, "precision": hits / n if n else 0.0, "coverage": coverage})
    return Confidence(weights, threshold, *shares)


def _design(evidence: FloatArray) -> FloatArray:
    similarity, share = evidence.T
    share = np.clip(share, _CERTAIN, 1 - _CERTAIN)
    return np.stack([np.ones(len(evidence)), similarity, np.log(share / (1 - share))], axis=1)


def _logistic(design: FloatArray, right: npt.NDArray[np.bool_]) -> list[float]:
    """Logistic regression by Newton's method, slopes of the standardised evidence slightly penalised."""
    if not right.any() or right.all():
        return [50.0 if right.any() else -50.0, 0.0, 0.0]
    mean, spread = design[:, 1:].mean(axis=0), design[:, 1:].std(axis=0) + 1e-9
    x = np.column_stack([design[:, 0], (design[:, 1:] - mean) / spread])
    penalty = _PENALTY * len(x) * np.diag([0.0, 1.0, 1.0])
    w = np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -50, 50)))
        gradient = x.T @ (p - right) + penalty @ w
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(3), gradient)
        w -= step
        if np.abs(step).max() < 1e-8:  # noqa: PLR2004
            break
    slope = w[1:] / spread
    return [float(w[0] - slope @ mean), float(slope[0]), float(slope[1])]


def _threshold(probability: FloatArray, right: npt.NDArray[np.bool_]) -> float | None:
    """The smallest probability above which precision, less one standard error (Wilson), is still kept."""
    order = np.argsort(-probability, kind="stable")
    n = np.arange(1, len(order) + 1)
    precision = np.cumsum(right[order]) / n
    cautious = (precision + 1 / (2 * n) - np.sqrt(precision * (1 - precision) / n + 1 / (4 * n * n))) / (1 + 1 / n)
    sorted_probability = probability[order]
    last_of_ties = np.r_[sorted_probability[1:] < sorted_probability[:-1], True][: len(order)]
    fits = np.flatnonzero((cautious >= PRECISION) & (n >= FEWEST_ACCEPTED) & last_of_ties)
    return float(sorted_probability[fits[-1]]) if len(fits) else None
