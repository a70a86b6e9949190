"""Shapley values of the modalities: the one fair division of what all of them reach together.

The characteristic function v gives the worth of every combination, and of none. Values are exact sums over all
combinations, so they add up to v(all) - v(none); being linear in v, they take resamples and trainings as they come.

Source: Shapley 1953; Castro et al. 2009 for the sum over subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np

from matbind.analysis.measures.contribution import Scores, missing_combinations
from matbind.analysis.task import UnavailableError
from matbind.evaluation.two_level import DoubleArray, Weights, interval, resampled_means
from matbind.modalities.combinations import all_combinations
from matbind.modalities.table import modality_names


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """What a combination is worth.

    Attributes:
        value: mean over its trainings.
        resampled: it in each resample of the test materials, shape (n_resamples,).
        trainings: of each training, shape (n_trainings,).
    """

    value: float
    resampled: DoubleArray
    trainings: DoubleArray


@dataclass(frozen=True, slots=True)
class Share:
    """The Shapley value of one modality.

    Attributes:
        value: its share of v(all) - v(none).
        ci95: 95 % interval over the test materials and, of combinations with several trainings, over those.
    """

    value: float
    ci95: tuple[float, float]


def shapley_values(worth: Mapping[str, float], *, empty: float) -> dict[str, float]:
    """Compute the exact Shapley value of every modality.

    Args:
        worth: of every combination of the modalities.
        empty: worth of no modality at all, such as chance.

    Returns:
        By modality.

    Raises:
        UnavailableError: if a combination is missing, naming it; `shapley_bounds` says what is known all the same.
    """
    missing = missing_combinations(worth)
    if missing:
        raise UnavailableError(f"no worth of {', '.join(missing)}: exact values need every combination")
    return {name: float(_sum_over_combinations(worth, name, empty=empty)) for name in modality_names()}


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


def shares(worth: Mapping[str, Worth], *, empty: float) -> dict[str, Share]:
    """Compute every Shapley value with its interval; raises as `shapley_values`.

    Args:
        worth: of every combination.
        empty: worth of no modality.
    """
    values = shapley_values({name: of.value for name, of in worth.items()}, empty=empty)
    resampled = {name: of.resampled for name, of in worth.items()}
    result = {}
    for modality, value in values.items():
        spread = _sum_over_combinations(resampled, modality, empty=empty)
        trainings = [factor * worth[name].trainings for name, factor in _factors(modality).items() if name]
        result[modality] = Share(value, interval(value, spread, trainings))
    return result


def worth_of_retrieval(scores: Scores, weights: Weights) -> tuple[dict[str, Worth], float]:
    """Return the worth of every combination as its mean recall over all ordered pairs of the modalities.

    A pair that a combination cannot answer, because it lacks one of the two, counts as chance: the expected recall@1 of
    a random key, 1 / N. The worth of a single and of no modality is thereby the mean chance.

    Args:
        scores: recall@1 hits by query, as `matbind.analysis.measures.contribution.hits_by_query`, of one test split and
            every training.
        weights: of the resamples.

    Returns:
        Worth by combination, of those in `scores` and all singles; and the worth of none.

    Raises:
        UnavailableError: if there is no pair at all.
    """
    questions = {question: hits for by_pair in scores.values() for question, hits in by_pair.items()}
    if not questions:
        raise UnavailableError("no combination answers a pair: there is no retrieval to divide")
    chance = {question: 1 / max(1, int(np.isfinite(hits[0]).sum())) for question, hits in questions.items()}
    none = float(np.mean(list(chance.values())))
    worth: dict[str, Worth] = {}
    for combination in all_combinations():
        by_pair = {} if combination.is_single else scores.get(combination.name)
        if by_pair:
            answered = [_worth(hits, weights) for hits in by_pair.values()]
            guessed = sum(chance[question] for question in questions if question not in by_pair)
            sums = (sum(getattr(of, part) for of in answered) for part in ("value", "resampled", "trainings"))
            worth[combination.name] = Worth(*((total + guessed) / len(questions) for total in sums))
        elif by_pair is not None:
            worth[combination.name] = Worth(none, np.full(len(weights), none), np.array([none]))
    return worth, none


def worth_of_probe(scores: Mapping[str, DoubleArray], weights: Weights) -> dict[str, Worth]:
    """Return the worth of every combination as its mean score in one probe.

    Args:
        scores: by combination, shape (n_trainings, n_test), NaN where the label is not known; a loss is given with a
            minus sign.
        weights: of the resamples.
    """
    return {name: _worth(values, weights) for name, values in scores.items()}


def _worth(scores: DoubleArray, weights: Weights) -> Worth:
    trainings = np.nanmean(scores, axis=1)
    return Worth(float(trainings.mean()), resampled_means(scores.mean(axis=0), weights), trainings)


def _sum_over_combinations(worth: Mapping[str, Any], modality: str, *, empty: float) -> Any:
    return sum(factor * (worth[name] if name else empty) for name, factor in _factors(modality).items())


def _factors(modality: str) -> dict[str, float]:
    """Return by which factor each combination's worth counts for a modality; that of none is under the empty name."""
    n_modalities = len(modality_names())
    factors: dict[str, float] = {}
    for combination in all_combinations():
        if modality in combination.modalities:
            n_rest = len(combination.modalities) - 1
            factor = factorial(n_rest) * factorial(n_modalities - n_rest - 1) / factorial(n_modalities)
            factors[combination.name] = factor
            factors["+".join(name for name in combination.modalities if name != modality)] = -factor
    return factors
