"""What a modality contributes: what changes when it is added to a combination, with paired bootstrap intervals.

Scores are per query or example and lie on one axis, the test split, with NaN where a question is not asked of a
material. So one resample of the materials serves all combinations and questions, and differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import CHUNK_SIZE, MIN_ROWS, ranks_both
from matbind.evaluation.vectors import held_rows
from matbind.modalities.combinations import Combination, Kind, all_combinations, pair_name, parse_combination
from matbind.modalities.table import modality_names

FloatArray = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, FloatArray]]
"""By the name of the combination and of the question (``text->dos``, or a probe's): shape (n_test,)."""

N_RESAMPLES = 1000


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
        change_ci95: 95 % interval by bootstrap over the materials, both combinations resampled together.
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

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "change_ci95": list(self.change_ci95)}


def hits_by_query(
    embeddings: Mapping[str, FloatArray], combination: Combination, *, k: int = 1, chunk_size: int = CHUNK_SIZE
) -> dict[str, DoubleArray]:
    """Whether each test material's key is among the k nearest, for every ordered pair of a combination.

    Args:
        embeddings: of each modality, shape (n_test, d), NaN rows where a material lacks it.
        combination: which modalities; a single has no pair.
        k: size of the short list.
        chunk_size: see `matbind.evaluation.retrieval.ranks_both`.

    Returns:
        By pair, ``text->dos``: 1 or 0, NaN where the material lacks one of the two; shape (n_test,). Pairs that fewer
        than two materials hold are left out.
    """
    held = {name: held_rows(embeddings[name]) for name in combination.modalities}
    found: dict[str, DoubleArray] = {}
    for query, key in combination.pairs():
        rows = np.flatnonzero(held[query] & held[key])
        if query == key or pair_name(query, key) in found or len(rows) < MIN_ROWS:
            continue
        both = ranks_both(embeddings[query][rows], embeddings[key][rows], chunk_size=chunk_size)
        for pair, ranks in zip((pair_name(query, key), pair_name(key, query)), both, strict=True):
            found[pair] = np.full(len(held[query]), np.nan)
            found[pair][rows] = ranks <= k
    return found


def resampling_weights(n_test: int, *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> npt.NDArray[np.float32]:
    """How often each material is drawn in each bootstrap resample.

    Returns:
        Shape (n_resamples, n_test); single precision counts exactly.
    """
    drawn = np.random.default_rng(seed).multinomial(n_test, np.full(n_test, 1 / n_test), size=n_resamples)
    return drawn.astype(np.float32)


def changes(
    scores: Scores,
    *,
    modalities: Iterable[str] | None = None,
    hub_order: Sequence[str] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Change]:
    """What adding each modality to each combination without it does to every question that both answer.

    Args:
        scores: combinations that are not there are passed over; see `missing_combinations`.
        modalities: the ones that are added; all if not given.
        hub_order: as in `matbind.modalities.combinations.all_combinations`.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: if scores differ in length.
    """
    n_test = _n_test(scores)
    weights = resampling_weights(n_test, n_resamples=n_resamples, seed=seed)
    by_name = {name: parse_combination(name, hub_order) for name in scores}
    found = []
    for modality in modality_names() if modalities is None else modalities:
        for name, before in by_name.items():
            if modality in before.modalities:
                continue
            after = parse_combination(f"{name}+{modality}", hub_order)
            for question in scores[name]:
                if question in scores.get(after.name, {}):
                    change = _change(scores, question, modality=modality, before=before, after=after, weights=weights)
                    found += [change] if change else []
    return found


def worth_of_hub(
    scores: Scores, *, hub: str = "crystal", n_resamples: int = N_RESAMPLES, seed: int = 0
) -> list[Change]:
    """Combinations of two modalities or more without the hub, against the same with it: what the hub is worth.

    Args, Raises: as `changes`.
    """
    without = {name for name in scores if "+" in name and hub not in name.split("+")}
    found = changes(scores, modalities=[hub], n_resamples=n_resamples, seed=seed)
    return [change for change in found if change.before in without]


def missing_combinations(found: Iterable[str], *, modalities: Sequence[str] | None = None) -> list[str]:
    """Which of all combinations are not there, such as those whose training failed.

    Args:
        found: names of combinations.
        modalities: names to combine; all if not given.
    """
    there = set(found)
    return [each.name for each in all_combinations(modalities=modalities) if each.name not in there]


def _n_test(scores: Scores) -> int:
    lengths = {len(values) for questions in scores.values() for values in questions.values()}
    if len(lengths) > 1:
        raise ValueError(f"scores of one test split expected, found lengths {sorted(lengths)}")
    return lengths.pop() if lengths else 1


def _change(
    scores: Scores,
    question: str,
    *,
    modality: str,
    before: Combination,
    after: Combination,
    weights: npt.NDArray[np.float32],
) -> Change | None:
    first, second = scores[before.name][question], scores[after.name][question]
    asked = np.isfinite(first) & np.isfinite(second)
    if not asked.any():
        return None
    difference = second[asked] - first[asked]
    means = resampled_means(np.where(asked, second - first, np.nan), weights)
    low, high = np.nanquantile(means, [0.025, 0.975])
    kinds = _kind(question, before), _kind(question, after)
    n, a, b = int(asked.sum()), float(first[asked].mean()), float(second[asked].mean())
    return Change(
        modality,
        before.name,
        after.name,
        question,
        *kinds,
        n,
        a,
        b,
        float(difference.mean()),
        (float(low), float(high)),
    )


def resampled_means(values: FloatArray, weights: npt.NDArray[np.float32]) -> DoubleArray:
    """Mean of the values that are not NaN in each resample.

    Args:
        values: shape (n_test,).
        weights: shape (n_resamples, n_test).

    Returns:
        Shape (n_resamples,); NaN in a resample that drew none of them.
    """
    asked = np.isfinite(values)
    drawn = weights[:, asked]
    total = drawn.sum(axis=1, dtype=np.float64)
    sums = drawn @ values[asked].astype(np.float32)
    return np.asarray(np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0), dtype=np.float64)


def _kind(question: str, combination: Combination) -> Kind | None:
    query, arrow, key = question.partition("->")
    known = combination.modalities
    return combination.kind(query, key) if arrow and query in known and key in known else None
