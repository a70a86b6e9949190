"""What a modality contributes: what changes when it is added to a combination, with paired intervals.

Scores are per training and query or example, shape (n_trainings, n_test): the axis is the test split, with NaN where a
question is not asked of a material.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import MIN_ROWS, present_rows, ranks_both
from matbind.evaluation.two_level import DoubleArray, Weights, paired_change
from matbind.modalities.combinations import Combination, Kind, all_combinations, pair_name, parse_combination
from matbind.modalities.table import modality_names

FloatArray = npt.NDArray[np.floating[Any]]
Scores = Mapping[str, Mapping[str, DoubleArray]]
"""By the name of the combination and of the question (``text->dos``, or a probe's): shape (n_trainings, n_test)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What adding one modality does to one question.

    Attributes:
        modality: the one that is added.
        before: combination without it.
        after: combination with it.
        question: such as ``text->dos``.
        kind_before: how the pair is related before, None if the question is no pair; likewise after.
        n: materials that are asked in both.
        score_before: mean score; likewise after.
        change: score after less score before.
        change_ci95: 95 % interval over materials, the same for both combinations, and trainings; see `two_level`.
    """

    modality: str
    before: str
    after: str
    question: str
    kind_before: Kind | None
    kind_after: Kind | None
    n: int
    score_before: float
    score_after: float
    change: float
    change_ci95: tuple[float, float]


def hits_by_query(embeddings: Mapping[str, FloatArray], combination: Combination) -> dict[str, DoubleArray]:
    """Return whether the key of each test material is nearest, for every ordered pair of a combination.

    Args:
        embeddings: of each modality, shape (n_test, d), NaN rows where a material lacks it.
        combination: which modalities; a single has no pair.

    Returns:
        By pair, ``text->dos``: 1 or 0, NaN where the material lacks one of the two; shape (n_test,). Pairs that fewer
        than two materials hold are left out.
    """
    present = {name: present_rows(embeddings[name]) for name in combination.modalities}
    hits: dict[str, DoubleArray] = {}
    for query, key in combinations(combination.modalities, 2):
        rows = np.flatnonzero(present[query] & present[key])
        if len(rows) < MIN_ROWS:
            continue
        both = ranks_both(embeddings[query][rows], embeddings[key][rows])
        for pair, ranks in zip((pair_name(query, key), pair_name(key, query)), both, strict=True):
            hits[pair] = np.full(len(present[query]), np.nan)
            hits[pair][rows] = ranks <= 1
    return hits


def changes(scores: Scores, weights: Weights, *, hub_order: Sequence[str] | None = None) -> list[Change]:
    """Measure what adding each modality to each combination without it does to every question that both answer.

    Args:
        scores: combinations that are not there are passed over; see `missing_combinations`.
        weights: of the resamples.
        hub_order: as in `matbind.modalities.combinations.all_combinations`.
    """
    trained = [parse_combination(name, hub_order) for name in scores]
    return [
        _change(scores, question, modality, (before, after), weights)
        for modality in modality_names()
        for before in trained
        if modality not in before.modalities
        for after in [parse_combination(f"{before.name}+{modality}", hub_order)]
        for question, values in scores[before.name].items()
        if question in scores.get(after.name, {})
        and np.isfinite(values.mean(axis=0) + scores[after.name][question].mean(axis=0)).any()
    ]


def missing_combinations(names: Iterable[str]) -> list[str]:
    """Return which of all combinations are not among the names, such as those whose training failed."""
    there = set(names)
    return [combination.name for combination in all_combinations() if combination.name not in there]


def _change(
    scores: Scores, question: str, modality: str, steps: tuple[Combination, Combination], weights: Weights
) -> Change:
    before, after = steps
    first, second = scores[before.name][question], scores[after.name][question]
    asked = np.isfinite(first.mean(axis=0)) & np.isfinite(second.mean(axis=0))
    change, ci95 = paired_change(first, second, weights)
    return Change(
        modality=modality,
        before=before.name,
        after=after.name,
        question=question,
        kind_before=_kind(question, before),
        kind_after=_kind(question, after),
        n=int(asked.sum()),
        score_before=float(first[:, asked].mean()),
        score_after=float(second[:, asked].mean()),
        change=change,
        change_ci95=ci95,
    )


def _kind(question: str, combination: Combination) -> Kind | None:
    query, arrow, key = question.partition("->")
    known = combination.modalities
    return combination.kind(query, key) if arrow and query in known and key in known else None
