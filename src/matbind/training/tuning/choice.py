"""Is the best trial better than the start, or only the luckiest of many? A bootstrap that repeats the choice.

The best of several trials looks good on the materials it was chosen by even if all are alike. So the choice is made
again on every resample of the validation materials, and judged on those the resample left out.

Source: Tsamardinos, Greasidou and Borboudakis 2018 (bootstrap bias corrected selection).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
START = 0  # number of the trial with the values that the search begins with


@dataclass(frozen=True)
class Gain:
    """What tuning gained over the start in mean recall@1 of the aligned pairs.

    Attributes:
        measured: best trial minus trial 0 on all validation materials; too high by the luck of the choice.
        expected: mean over the resamples of what the trial chosen in one gains on the materials left out of it.
        interval95: 2.5 % and 97.5 % of these.
        confidence: share of the resamples in which something is gained.
    """

    measured: float
    expected: float
    interval95: tuple[float, float]
    confidence: float


def best_of(recalls: Mapping[int, float]) -> int:
    """Return the trial with the highest recall; of equal ones the first.

    Raises:
        ValueError: if there is none.
    """
    return min(recalls, key=lambda number: (-recalls[number], number))


def gain_over_start(hits: Mapping[int, FloatArray], *, n_resamples: int, seed: int) -> Gain:
    """Compare the best of several trials with trial 0.

    Args:
        hits: of every finished trial by its number, 0 among them, shape (n_pairs, n_materials): 1 where a material is
            found at rank 1, 0 where it is not, NaN where it has no such pair, which is alike in all trials.
        n_resamples: of the materials, with replacement.
        seed: of the resampling.

    Raises:
        ValueError: if trial 0 is not among the trials or shapes differ.
    """
    if START not in hits:
        raise ValueError("trial 0, the start, is not among the trials")
    numbers = sorted(hits)
    if len(shapes := {of_trial.shape for of_trial in hits.values()}) > 1:
        raise ValueError(f"shapes of hits differ: {sorted(shapes)}")
    cube = np.stack([hits[number] for number in numbers])
    present = np.isfinite(cube[0]).astype(np.float64)
    at_rank_1 = np.nan_to_num(cube)
    n = cube.shape[-1]
    recalls = _mean_recall(at_rank_1, present, np.ones((1, n)))[0]
    best = numbers.index(best_of(dict(zip(numbers, recalls, strict=True))))
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
    left_out = (drawn == 0).astype(np.float64)
    chosen = np.argmax(_mean_recall(at_rank_1, present, drawn), axis=1)
    outside = _mean_recall(at_rank_1, present, left_out)
    gains = outside[np.arange(n_resamples), chosen] - outside[:, numbers.index(START)]
    gains = gains[np.isfinite(gains)]
    if not len(gains):  # so few materials that no resample leaves any out
        gains = np.zeros(1)
    low, high = np.quantile(gains, [0.025, 0.975])
    return Gain(
        measured=float(recalls[best] - recalls[numbers.index(START)]),
        expected=float(gains.mean()),
        interval95=(float(low), float(high)),
        confidence=float(np.mean(gains > 0)),
    )


def _mean_recall(at_rank_1: FloatArray, present: FloatArray, weights: FloatArray) -> FloatArray:
    """Compute the mean of weighted recall over the pairs that have materials, shape (n_resamples, n_trials)."""
    n_trials, n_pairs, n = at_rank_1.shape
    number = (weights @ at_rank_1.reshape(-1, n).T).reshape(len(weights), n_trials, n_pairs)
    total = (weights @ present.T)[:, None, :]
    measured = total > 0
    recall = np.divide(number, total, out=np.zeros_like(number), where=np.broadcast_to(measured, number.shape))
    counted = measured.sum(axis=-1)
    mean = np.full(recall.shape[:2], np.nan)
    np.divide(recall.sum(axis=-1), counted, out=mean, where=np.broadcast_to(counted > 0, mean.shape))
    return mean
