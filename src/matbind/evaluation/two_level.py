"""95 % intervals over the test materials and, of models that were trained with several seeds, over the trainings too.

Every training is asked about the same materials, so both vary by themselves: the mean over S trainings has the variance
A + B, where A is the variance of the trainings' figures divided by S, and B that of their mean over other materials.

B is resampled: materials with replacement, the same draws for all trainings and questions, so that changes are paired.
A is known from few trainings and cannot be resampled: of three, the bootstrap sees two thirds of the variance on
average, and draws the same one thrice in one of nine draws. So an end reaches t sqrt(A + B) from the figure, where B is
that of the percentile interval on its side, and t is Student's quantile at the degrees of freedom by Satterthwaite. One
training tells nothing of A: its interval is the percentile interval over the materials.

The noise of a training on a material is in A and in B, which makes intervals a little wide. With 580 materials and
three trainings whose recall differs by 0.00, 0.01 or 0.03 they hold the truth in 96 to 97 of 100 cases. Trainings drawn
with replacement and materials within each hold it in 84 to 89, an interval over the materials alone in 85 to 95
(simulated as in `tests/evaluation/test_two_level.py`).

Sources: Satterthwaite 1946, Biometrics Bulletin 2, 110; Owen 2007, Annals of Applied Statistics 1, 386, on resampling
two crossed factors; Zou and Donner 2008, Statistics in Medicine 27, 1693, on sides of different reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
Scores = npt.NDArray[np.floating[Any]]
"""One score a training and material, NaN where a material is not asked; shape (n_trainings, n_test)."""
Weights = npt.NDArray[np.float32]
"""How often each material is drawn in each resample, shape (n_resamples, n_test)."""
Interval = tuple[float, float]

N_RESAMPLES = 1000  # the ends of a 95 % interval are then known to a tenth of its width
TAIL = (1 - 0.95) / 2  # probability below a 95 % interval
NORMAL = 1.959963984540054  # the normal distribution's quantile at 1 - TAIL
SHARE = (0.0, 1.0)
MOST_FREEDOM = 1e6  # degrees of freedom; from here on Student's distribution is the normal one


def resampling_weights(n_test: int, *, n_resamples: int, seed: int) -> Weights:
    """Draw the materials of every resample; single precision counts them exactly."""
    drawn = np.random.default_rng(seed).multinomial(n_test, np.full(n_test, 1 / n_test), size=n_resamples)
    return drawn.astype(np.float32)


def resampled_means(values: npt.NDArray[np.floating[Any]], weights: Weights) -> DoubleArray:
    """Return the mean in each resample of the values that are not NaN; NaN where it drew none of them.

    Args:
        values: shape (n_test,).
        weights: of the resamples.
    """
    asked = np.isfinite(values)
    drawn = weights[:, asked]
    total = drawn.sum(axis=1, dtype=np.float64)
    sums = drawn @ values[asked].astype(np.float32)
    return np.asarray(np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0), dtype=np.float64)


def interval(
    value: float,
    resampled: npt.NDArray[np.floating[Any]],
    trainings: Iterable[npt.NDArray[np.floating[Any]]],
    *,
    limits: Interval = (-math.inf, math.inf),
) -> Interval:
    """Return the 95 % interval of a figure that is a mean over trainings, or a sum of several such means.

    Args:
        value: the figure.
        resampled: it in each resample of the materials, NaN passed over; shape (n_resamples,).
        trainings: of every such mean, what each training adds to it, shape (n_trainings,); of different models, so
            that the means vary independently. Those of a single training say nothing.
        limits: beyond which the figure cannot be.
    """
    ends = np.nanquantile(resampled, [TAIL, 1 - TAIL])
    several = [of_model for of_model in trainings if len(of_model) > 1]
    variances = [(float(np.var(of_model, ddof=1)) / len(of_model), len(of_model) - 1) for of_model in several]
    low, high = (float(end) for end in ends)
    if any(variance > 0 for variance, _ in variances):
        low, high = value - _reach(value - low, variances), value + _reach(high - value, variances)
    return max(low, limits[0]), min(high, limits[1])


def mean_interval(scores: Scores, weights: Weights, *, limits: Interval = (-math.inf, math.inf)) -> Interval:
    """Return the 95 % interval of the mean score."""
    by_training = np.nanmean(scores, axis=1)
    resampled = resampled_means(scores.mean(axis=0), weights)
    return interval(float(by_training.mean()), resampled, [by_training], limits=limits)


def share_interval(hits: npt.NDArray[Any], *, n_resamples: int = N_RESAMPLES, seed: int) -> Interval:
    """Return the 95 % interval of a share of queries.

    Args:
        hits: whether each query hit, shape (n_queries,) of one training or (n_trainings, n_queries).
        n_resamples: of the queries, with replacement.
        seed: of the resampling.

    Returns:
        Lower and upper bound in [0, 1]; both are the share where all or no queries hit in all trainings.

    Raises:
        ValueError: if there are no queries.
    """
    hits = np.atleast_2d(hits)
    n_trainings, n_queries = hits.shape
    if not n_queries:
        raise ValueError("no query to average over")
    # A query hits in none to all of the trainings; draws hold a multinomial number of each of these kinds, so that no
    # resample needs to be built. Of one training these are binomial numbers of hits.
    counts = np.bincount(hits.sum(axis=0, dtype=np.int64), minlength=n_trainings + 1)[::-1]
    drawn = np.random.default_rng(seed).multinomial(n_queries, counts / n_queries, size=n_resamples)
    resampled = drawn @ (np.arange(n_trainings, -1, -1) / n_trainings) / n_queries
    by_training = hits.mean(axis=1)
    return interval(float(by_training.mean()), resampled, [by_training], limits=SHARE)


def paired_change(before: Scores, after: Scores, weights: Weights) -> tuple[float, Interval]:
    """Return the mean change of scores, over the materials that have both, and its 95 % interval.

    The trainings of both are independent of each other, with the same seeds too: a seed draws other weights for another
    model.

    Args:
        before: of one model.
        after: of another, of as many trainings or not.
        weights: of the resamples.
    """
    change = after.mean(axis=0) - before.mean(axis=0)
    asked = np.isfinite(change)
    value = float(change[asked].mean())
    trainings = [scores[:, asked].mean(axis=1) for scores in (before, after)]
    return value, interval(value, resampled_means(change, weights), trainings)


def deviation(trainings: npt.NDArray[np.floating[Any]]) -> float | None:
    """Return the standard deviation over trainings; None of a single one."""
    return float(np.std(trainings, ddof=1)) if len(trainings) > 1 else None


def wider_reach(reach: float, *, deviation: float, n_trainings: int) -> float:
    """Return how far one training's interval reaches if trainings vary as those of another model do.

    Args:
        reach: over the materials alone.
        deviation: standard deviation over the other model's trainings.
        n_trainings: of the other model.
    """
    return _reach(reach, [(deviation**2, n_trainings - 1)])


def _reach(over_materials: float, variances: list[tuple[float, int]]) -> float:
    """Return how far an end is from the figure, given its reach over materials, and variances with their freedom."""
    from scipy.special import stdtrit

    total = (over_materials / NORMAL) ** 2 + sum(variance for variance, _ in variances)
    uncertain = sum(variance**2 / freedom for variance, freedom in variances)
    if uncertain == 0:
        return over_materials
    return float(stdtrit(min(total**2 / uncertain, MOST_FREEDOM), 1 - TAIL)) * math.sqrt(total)
