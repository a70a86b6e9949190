"""How likely the best answer is to be right, and when to say that there is none.

A similarity means nothing by itself: 0.9 is much for one pair of modalities and little for another. So every pair of
what is asked with and what is searched is calibrated on the validation split, by queries as users bring them: patterns
as measured, strained crystals, shortened texts, drawn by the training's augmentation, and half of the queries as they
are in the data (unless that is the very vector that is searched for). Each is asked twice, once with its material in
the gallery and once without, when every answer is wrong; so half of all queries are of materials that the gallery does
not hold. A third of them name elements that must be in, a third all elements there may be; on validation, of which
there is little, every query is asked twice, with another filter. The test split tells how far the probability can be
believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.files import read_json

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
SHARPNESS = 30.0  # of the softmax over the gallery; 14 and 60 rank answers less well by a little
PRECISION = 0.9
"""Probability from which the best answer counts as a match."""
MOST_QUERIES = 1000
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
N_CONTAINED = 2  # elements that a query names
BLOCK = 128
_CERTAIN = 1e-6  # a share of the softmax this near to one is one
_LEAST_LEAD = 1e-3  # of the best similarity over the second
_WHOLE_LEAD = 2.0  # where there is no second
_PENALTY = 1e-5  # of the logistic regression, a query; 1e-3 claims 0.8 where the evidence all but decides
_DRAWS = 200  # of a forecaster that is right as often as it claims
_SURE, _NEVER = 0.999, 0.001  # nothing is claimed beyond what some hundred queries can show


@dataclass(frozen=True, slots=True)
class Confidence:
    """Calibration of one pair of what is asked with and what is searched.

    Attributes:
        weights: of 1, and of the columns of :func:`evidence_of`.
        reliability: of the test split, which had no part in the weights: for every bin of `BINS` the number of queries
            ``n``, the mean probability ``claimed``, and the share that was ``right``.
        expected_calibration_error: mean difference of the two over the test queries, bin by bin.
        error_by_chance: what that error would be of probabilities that are exactly right, on as many queries: its
            ``mean``, and the value ``below95`` that it exceeds in 5 of 100 draws.
        accepted: of the test queries that count as a match: ``n``, ``precision``, and ``coverage``, the share of the
            queries whose material is in the gallery that are accepted and right.
    """

    weights: list[float]
    reliability: list[dict[str, float]]
    expected_calibration_error: float
    error_by_chance: dict[str, float]
    accepted: dict[str, float]

    def probability(self, evidence: FloatArray) -> FloatArray:
        """Return the probability that the best answer is right, shape (n,), of what :func:`evidence_of` gives."""
        return _probability(self.weights, evidence)


def is_match(probability: float) -> bool:
    """Return whether the best answer is a match, not only the nearest thing there is."""
    return probability >= PRECISION


def read_confidence(path: Path) -> dict[str, Confidence]:
    """Read the calibration of every pair, such as ``pxrd+text->crystal``, from a JSON file."""
    return {pair: Confidence(**content) for pair, content in read_json(path).items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers to queries of known materials.

    Attributes:
        evidence: shape (2 n, 4), the second half with the query's own material taken out of the gallery.
        right: whether the best answer was the material, shape (2 n,).
    """

    evidence: FloatArray
    right: BoolArray


def evidence_of(similarity: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Compute what speaks for the best answer of every query.

    Args:
        similarity: of every query to every key, shape (n, n_keys); -inf for keys that are left out.

    Returns:
        Shape (n, 4): the best similarity, the log odds of its share in a softmax over the gallery, the logarithm of its
        lead over the second, and that of the number of keys that were not left out.
    """
    n_keys = np.isfinite(similarity).sum(axis=1)
    below = similarity - similarity.max(axis=1, keepdims=True)
    share = np.clip(1 / np.exp(SHARPNESS * below).sum(axis=1), _CERTAIN, 1 - _CERTAIN)
    first = (np.arange(len(similarity)), similarity.argmax(axis=1))
    below[first] = -np.inf
    lead = np.minimum(-below.max(axis=1), _WHOLE_LEAD)
    evidence = [similarity[first], np.log(share / (1 - share)), np.log(lead + _LEAST_LEAD), np.log(n_keys)]
    return np.stack(evidence, axis=1).astype(np.float64)


def ask(
    queries: npt.NDArray[np.float32],
    true: npt.NDArray[np.int64],
    keys: npt.NDArray[np.float32],
    elements: BoolArray,
    *,
    seed: int = 0,
) -> Asked:
    """Ask a gallery for materials that are in it, with and without them; at most 1,000 of them, evenly taken.

    Args:
        queries: unit vectors, shape (n, d).
        true: position among the keys of the material that each is of.
        keys: unit vectors of the gallery, shape (n_keys, d).
        elements: which elements the material of each key holds, shape (n_keys, n_elements).
        seed: of the filters: none, some of the elements, or all of them and no other.
    """
    taken = np.arange(len(true))[:: max(1, -(-len(true) // MOST_QUERIES))]
    queries, true = queries[taken], true[taken]
    rng = np.random.default_rng(seed)
    evidence, right = np.empty((2, len(true), 4)), np.zeros((2, len(true)), dtype=bool)
    usable = np.ones((2, len(true)), dtype=bool)
    amounts = elements.astype(np.float32)
    for start in range(0, len(true), BLOCK):
        rows = slice(start, start + BLOCK)
        targets = true[rows]
        allowed = _allowed(amounts, targets, rng)
        similarity = np.where(allowed, queries[rows] @ keys.T, -np.inf)
        evidence[0, rows] = evidence_of(similarity)
        right[0, rows] = similarity.argmax(axis=1) == targets
        similarity[np.arange(len(targets)), targets] = -np.inf
        usable[1, rows] = np.isfinite(similarity).any(axis=1)  # else the filter leaves nothing, and that is the answer
        similarity[~usable[1, rows], 0] = 0.0
        evidence[1, rows] = evidence_of(similarity)
    return Asked(evidence[usable], right[usable])


def _allowed(amounts: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], rng: np.random.Generator) -> BoolArray:
    """Draw an element filter for each target, and return which keys pass it, shape (n_targets, n_keys)."""
    of_targets = amounts[targets]
    order = np.argsort(np.where(of_targets > 0, rng.random(of_targets.shape), 2.0), axis=1)
    named = np.zeros_like(of_targets)
    np.put_along_axis(named, order[:, :N_CONTAINED], 1.0, axis=1)
    kind = rng.integers(0, 3, len(targets))[:, None]
    need = np.where(kind == 0, 0.0, np.where(kind == 1, named * of_targets, of_targets)).astype(np.float32)
    forbidden = np.where(kind == 2, 1 - of_targets, 0.0).astype(np.float32)  # noqa: PLR2004
    # One forbidden element outweighs all that are needed, so that one product answers both.
    weights = need - amounts.shape[1] * forbidden
    return np.asarray(weights @ amounts.T >= need.sum(axis=1, keepdims=True) - 0.5)


def calibrate(validation: Asked, test: Asked) -> Confidence:
    """Fit the probability on validation, and measure on test how far it can be believed."""
    weights = _logistic(_design(validation.evidence), validation.right)
    probability = _probability(weights, test.evidence)
    accepted = probability >= PRECISION
    hits, n = int(np.count_nonzero(test.right & accepted)), int(np.count_nonzero(accepted))
    known = max(len(test.right) / 2, 1)
    reliability, error = reliability_of(probability, test.right)
    return Confidence(
        weights,
        reliability,
        error,
        error_by_chance(probability),
        {"n": n, "precision": hits / n if n else 0.0, "coverage": hits / known},
    )


def error_by_chance(probability: FloatArray) -> dict[str, float]:
    """Draw how large the expected calibration error is of probabilities that are exactly right.

    It is not zero, as each bin holds few queries (Broecker and Smith, Weather and Forecasting 2007).
    """
    if not len(probability):
        return {"mean": 0.0, "below95": 0.0}
    right = np.random.default_rng(0).random((_DRAWS, len(probability))) < probability
    off = right - probability
    number = _bin_of(probability)
    errors = sum(np.abs(off[:, number == i].sum(axis=1)) for i in range(len(BINS) - 1)) / len(probability)
    return {"mean": float(np.mean(errors)), "below95": float(np.quantile(errors, 0.95))}


def _bin_of(probability: FloatArray) -> npt.NDArray[np.int64]:
    return np.clip(np.digitize(probability, BINS) - 1, 0, len(BINS) - 2)


def reliability_of(probability: FloatArray, right: BoolArray) -> tuple[list[dict[str, float]], float]:
    """Compare what is claimed with what is right, bin by bin, and on average (Naeini et al., AAAI 2015)."""
    number = _bin_of(probability)
    bins, error = [], 0.0
    for i in range(len(BINS) - 1):
        inside = number == i
        n = int(inside.sum())
        claimed, share = (float(values[inside].mean()) if n else 0.0 for values in (probability, right))
        bins.append({"from": BINS[i], "to": BINS[i + 1], "n": n, "claimed": claimed, "right": share})
        error += n * abs(claimed - share)
    return bins, error / max(len(right), 1)


def _probability(weights: list[float], evidence: FloatArray) -> FloatArray:
    log_odds = np.clip(_design(evidence) @ np.array(weights), -50, 50)
    return np.asarray(np.clip(1 / (1 + np.exp(-log_odds)), _NEVER, _SURE))


def _design(evidence: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(evidence)), evidence])


def _logistic(design: FloatArray, right: BoolArray) -> list[float]:
    """Logistic regression by Newton's method, slopes of the standardised evidence slightly penalised."""
    n_slopes = design.shape[1] - 1
    if not right.any() or right.all():
        return [50.0 if right.any() else -50.0, *[0.0] * n_slopes]
    mean, spread = design[:, 1:].mean(axis=0), design[:, 1:].std(axis=0) + 1e-9
    x = np.column_stack([design[:, 0], (design[:, 1:] - mean) / spread])
    penalty = _PENALTY * len(x) * np.diag([0.0, *[1.0] * n_slopes])
    w = np.zeros(1 + n_slopes)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -50, 50)))
        gradient = x.T @ (p - right) + penalty @ w
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(w)), gradient)
        w -= step
        if np.abs(step).max() < 1e-8:  # noqa: PLR2004
            break
    slope = w[1:] / spread
    return [float(w[0] - slope @ mean), *map(float, slope)]
