"""Shapley values of the modalities: the one fair division of what all of them reach together.

The characteristic function v gives the worth of every combination, and of none. Values are exact sums over all
combinations, so they add up to v(all) - v(none); being linear in v, they take bootstrap resamples of v as they come.

Source: Shapley 1953; Castro et al. 2009 for the sum over subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.measures.bootstrap import Weights, interval, resampled_means
from matbind.analysis.measures.contribution import Scores, missing_combinations
from matbind.analysis.task import UnavailableError
from matbind.modalities.combinations import all_combinations
from matbind.modalities.table import modality_names

Worth = Mapping[str, Any]
"""Worth by the name of the combination: a number, or an array of resampled ones, shape (n_resamples,)."""


@dataclass(frozen=True, slots=True)
class Share:
    """The Shapley value of one modality.

    Attributes:
        value: its share of v(all) - v(none).
        ci95: 95 % bootstrap interval over the test materials; of models trained once, so without the training's luck.
    """

    value: float
    ci95: tuple[float, float]


def shapley_values(worth: Worth, *, empty: float) -> dict[str, Any]:
    """Compute the exact Shapley value of every modality.

    Args:
        worth: of every combination of the modalities.
        empty: worth of no modality at all, such as chance.

    Returns:
        By modality, of the shape of the worths.

    Raises:
        UnavailableError: if a combination is missing, naming it; `shapley_bounds` says what is known all the same.
    """
    missing = missing_combinations(worth)
    if missing:
        raise UnavailableError(f"no worth of {', '.join(missing)}: exact values need every combination")
    return {name: _sum_over_combinations(worth, name, empty=empty) for name in modality_names()}


def shapley_bounds(
    worth: Mapping[str, float], *, empty: float, lowest: float, highest: float
) -> dict[str, tuple[float, float]]:
    """Compute between which values each Shapley value lies when combinations are missing.

    Args:
        worth: of the combinations that are there.
        empty: worth of no modality.
        lowest: worth that no missing combination is below, such as chance.
        highest: worth that none is above, such as 1.

    Returns:
        Lower and upper bound by modality, both the exact value if none is missing.
    """
    missing = missing_combinations(worth)
    bounds = {}
    for name in modality_names():
        # A combination with the modality counts for it, one without against it.
        worst, best = dict(worth), dict(worth)
        for absent in missing:
            counts_for = name in absent.split("+")
            worst[absent], best[absent] = (lowest, highest) if counts_for else (highest, lowest)
        low, high = (_sum_over_combinations(case, name, empty=empty) for case in (worst, best))
        bounds[name] = (float(low), float(high))
    return bounds


def shares(worth: Worth, resampled: Worth, *, empty: float) -> dict[str, Share]:
    """Compute every Shapley value with its bootstrap interval; raises as `shapley_values`.

    Args:
        worth: of every combination.
        resampled: the same of every resample.
        empty: worth of no modality.
    """
    values, spread = (shapley_values(worths, empty=empty) for worths in (worth, resampled))
    return {name: Share(float(values[name]), interval(spread[name])) for name in values}


def worth_of_retrieval(scores: Scores, *, weights: Weights | None = None) -> tuple[dict[str, Any], float]:
    """Return the worth of every combination as its mean recall over all ordered pairs of the modalities.

    A pair that a combination cannot answer, because it lacks one of the two, counts as chance: the expected recall@1 of
    a random key, 1 / N. The worth of a single and of no modality is thereby the mean chance.

    Args:
        scores: recall@1 hits by query, as `matbind.analysis.measures.contribution.hits_by_query`, of one test split.
        weights: of the resamples; the worths are then of shape (n_resamples,).

    Returns:
        Worth by combination, of those in `scores` and all singles; and the worth of none.

    Raises:
        UnavailableError: if there is no pair at all.
    """
    questions = {question: hits for by_pair in scores.values() for question, hits in by_pair.items()}
    if not questions:
        raise UnavailableError("no combination answers a pair: there is no retrieval to divide")
    chance = {question: 1 / max(1, int(np.isfinite(hits).sum())) for question, hits in questions.items()}
    worth: dict[str, Any] = {}
    for combination in all_combinations():
        if combination.is_single or combination.name in scores:
            hits = {} if combination.is_single else scores[combination.name]
            answered = [_mean(hits[q], weights) if q in hits else chance[q] for q in questions]
            worth[combination.name] = sum(answered) / len(answered)
    return worth, float(np.mean(list(chance.values())))


def worth_of_probe(scores: Mapping[str, npt.NDArray[Any]], *, weights: Weights | None = None) -> dict[str, Any]:
    """Return the worth of every combination as its mean score in one probe.

    Args:
        scores: by combination, shape (n_test,), NaN where the label is not known; a loss is given with a minus sign.
        weights: as in `worth_of_retrieval`.
    """
    return {name: _mean(values, weights) for name, values in scores.items()}


def _sum_over_combinations(worth: Worth, modality: str, *, empty: float) -> Any:
    n_modalities = len(modality_names())
    total: Any = 0.0
    for combination in all_combinations():
        if modality not in combination.modalities:
            continue
        rest = "+".join(name for name in combination.modalities if name != modality)
        n_rest = len(combination.modalities) - 1
        weight = factorial(n_rest) * factorial(n_modalities - n_rest - 1) / factorial(n_modalities)
        total = total + weight * (worth[combination.name] - (worth[rest] if rest else empty))
    return total


def _mean(values: npt.NDArray[Any], weights: Weights | None) -> Any:
    return float(np.nanmean(values)) if weights is None else resampled_means(values, weights)
