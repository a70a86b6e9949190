"""Retrieval between modalities: ranks, recall@k, MRR, chance, and their uncertainty.

A query of one modality is asked of a gallery of another, in which row i holds the true key of query i. Similarity is
the cosine; the rank of the true key is 1 + the number of other keys at least as similar: ties count against the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.evaluation.two_level import N_RESAMPLES, deviation, share_interval
from matbind.modalities.combinations import Combination, Kind, pair_name

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

CHUNK_SIZE = 2048  # a block of similarities is then 34 MB, whatever the size of the gallery
MIN_ROWS = 2  # below it there is nothing to confuse a key with
# The same two vectors give products that differ in the last bits from one shape of block to another. Similarities
# closer than that are a tie: without it a duplicate of the true key would win or lose by luck.
TIE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class RetrievalResult:
    """What one ordered pair of modalities reached, in the words of the metrics files.

    Attributes:
        kind: aligned, emergent or view.
        n: queries, and keys in the gallery.
        recall_at_1: share of queries whose true key is nearest; likewise for 5 and 10.
        median_rank: median 1-based rank of the true key; of an even number of queries, the mean of the middle two.
        mrr: mean reciprocal rank.
        chance_at_1: recall@1 of a model that knows nothing, 1 / n; likewise for 5 and 10.
        recall_at_1_ci95: 95 % interval of recall@1 over the queries, and over the trainings if there are several, see
            `two_level`; likewise for 5.
        n_seeds: trainings; of several, all figures are the means of theirs.
        recall_at_1_sd: standard deviation of recall@1 over the trainings, None for one; likewise for 5.
    """

    kind: Kind
    n: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    mrr: float
    chance_at_1: float
    chance_at_5: float
    chance_at_10: float
    recall_at_1_ci95: tuple[float, float]
    recall_at_5_ci95: tuple[float, float]
    n_seeds: int
    recall_at_1_sd: float | None
    recall_at_5_sd: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


class Ranked(NamedTuple):
    """How one training answered one question."""

    kind: Kind
    ranks: IntArray  # 1-based, of the true keys; shape (n,)


def present_rows(values: FloatArray) -> BoolArray:
    """Return which rows of shape (n, d) are finite, shape (n,): a material that lacks the modality has a row of NaN."""
    return np.asarray(np.isfinite(values).all(axis=1))


def unit_rows(values: FloatArray) -> npt.NDArray[np.float64]:
    """Return rows divided by their lengths, in double precision: embeddings that differ must not tie by rounding.

    Args:
        values: shape (n, d); rows of length zero stay zero.
    """
    wide = values.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, length, out=wide, where=length > 0))


def ranks_both(first: FloatArray, second: FloatArray, *, chunk_size: int = CHUNK_SIZE) -> tuple[IntArray, IntArray]:
    """Rank the true keys in both directions, from one pass over the similarities.

    Args:
        first: embeddings of any length, shape (n, d).
        second: embeddings of the same materials in the same order, shape (n, d).
        chunk_size: rows of a block of similarities; changes memory (8 chunk_size^2 bytes), not the result.

    Returns:
        1-based ranks, shape (n,) each: of the second side's rows asked with the first's, and the other way around. A
        vector of length zero points nowhere: its similarity to everything is 0.

    Raises:
        ValueError: if the shapes differ or are not (n, d), n < 2, a number is not finite, or chunk_size < 1.
    """
    if first.shape != second.shape or first.ndim != 2:  # noqa: PLR2004
        raise ValueError(f"both sides need the same shape (n, d), found {first.shape} and {second.shape}")
    if len(first) < MIN_ROWS:
        raise ValueError(f"retrieval needs at least {MIN_ROWS} materials, found {len(first)}")
    if chunk_size < 1:
        raise ValueError(f"{chunk_size=} has to be at least 1")
    for side, values in (("first", first), ("second", second)):
        _require_finite(values, np.ones(len(values), dtype=bool), f"the {side} side")
    blocks = [slice(start, min(start + chunk_size, len(first))) for start in range(0, len(first), chunk_size)]
    true = [np.einsum("id,id->i", unit_rows(first[rows]), unit_rows(second[rows])) for rows in blocks]
    threshold = np.concatenate(true) - TIE_TOLERANCE
    forward, backward = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.int64)
    for rows in blocks:
        unit = unit_rows(first[rows])
        for columns in blocks:
            similarity = unit @ unit_rows(second[columns]).T
            # The true key reaches its own threshold, which is the 1 in the rank.
            forward[rows] += np.count_nonzero(similarity >= threshold[rows, None], axis=1)
            backward[columns] += np.count_nonzero(similarity >= threshold[columns], axis=0)
    return forward, backward


def ranks(query: FloatArray, key: FloatArray, *, chunk_size: int = CHUNK_SIZE) -> IntArray:
    """Rank the true key of each query: 1 + the number of other keys at least as similar.

    Args, Raises: as `ranks_both`, with query as first and key as second.

    Returns:
        1-based ranks, shape (n,).
    """
    return ranks_both(query, key, chunk_size=chunk_size)[0]


def recall_at_k(ranks: IntArray, *, k: int) -> float:
    """Return the share of queries whose true key is among the k nearest, in [0, 1]; chance is k / n_keys.

    Args:
        ranks: 1-based rank of each query's true key, shape (n_queries,); ties count against the query.
        k: size of the short list, at least 1.

    Raises:
        ValueError: if ranks is empty.

    Source: Mirza et al. 2025, Figures 2 and 4.
    """
    return float(np.mean(_not_empty(ranks) <= k))


def mean_reciprocal_rank(ranks: IntArray) -> float:
    """Return the mean of 1 / rank, in (0, 1].

    Raises:
        ValueError: if ranks is empty.
    """
    return float(np.mean(1.0 / _not_empty(ranks)))


def summarise(ranks: IntArray, *, kind: Kind, seed: int = 0, n_resamples: int = N_RESAMPLES) -> RetrievalResult:
    """Return everything that is reported of one pair, from the ranks of its true keys in a gallery of as many keys.

    Args:
        ranks: shape (n,), or of several trainings (n_trainings, n): each figure is then the mean of theirs.
        kind: of the pair.
        seed: of the bootstrap.
        n_resamples: of the bootstrap.

    Raises:
        ValueError: if ranks is empty.
    """
    trainings = np.atleast_2d(ranks)
    n_trainings, n = trainings.shape
    recalls = {k: np.array([recall_at_k(of_training, k=k) for of_training in trainings]) for k in (1, 5, 10)}
    ci95 = {k: share_interval(trainings <= k, seed=seed, n_resamples=n_resamples) for k in (1, 5)}
    return RetrievalResult(
        kind=kind,
        n=n,
        recall_at_1=float(recalls[1].mean()),
        recall_at_5=float(recalls[5].mean()),
        recall_at_10=float(recalls[10].mean()),
        median_rank=float(np.median(trainings, axis=1).mean()),
        mrr=float(np.mean([mean_reciprocal_rank(of_training) for of_training in trainings])),
        chance_at_1=min(1.0, 1 / n),
        chance_at_5=min(1.0, 5 / n),
        chance_at_10=min(1.0, 10 / n),
        recall_at_1_ci95=ci95[1],
        recall_at_5_ci95=ci95[5],
        n_seeds=n_trainings,
        recall_at_1_sd=deviation(recalls[1]),
        recall_at_5_sd=deviation(recalls[5]),
    )


def summarise_all(
    trainings: Sequence[Mapping[str, Ranked]], *, seed: int = 0, n_resamples: int = N_RESAMPLES
) -> dict[str, RetrievalResult]:
    """Return what is reported of every question, from what each training of one combination answered to it."""
    return {
        name: summarise(
            np.stack([training[name].ranks for training in trainings]),
            kind=ranked.kind,
            seed=seed,
            n_resamples=n_resamples,
        )
        for name, ranked in trainings[0].items()
    }


def evaluate_pairs(
    embeddings: Mapping[str, FloatArray],
    present: Mapping[str, BoolArray],
    combination: Combination,
    *,
    seed: int = 0,
    chunk_size: int = CHUNK_SIZE,
    n_resamples: int = N_RESAMPLES,
    shuffled: bool = False,
) -> dict[str, RetrievalResult]:
    """Measure retrieval of every ordered pair by one training; see `rank_pairs`, whose seed is the bootstrap's too."""
    ranked = rank_pairs(embeddings, present, combination, chunk_size=chunk_size, shuffle=seed if shuffled else None)
    return summarise_all([ranked], seed=seed, n_resamples=n_resamples)


def rank_pairs(
    embeddings: Mapping[str, FloatArray],
    present: Mapping[str, BoolArray],
    combination: Combination,
    *,
    chunk_size: int = CHUNK_SIZE,
    shuffle: int | None = None,
) -> dict[str, Ranked]:
    """Rank the true keys of every ordered pair of a combination.

    Args:
        embeddings: of each modality, shape (n_test, d); rows of materials that lack it may hold anything.
        present: whether each test material holds the modality, shape (n_test,).
        combination: of two modalities or more.
        chunk_size: see `ranks_both`.
        shuffle: seed by which the keys of every gallery are permuted, None for not at all. All recall is then chance;
            more than that means that the measurement, not the model, recognises materials.

    Returns:
        The ranks of each pair by its name, ``text->dos``. The gallery of a pair is the test materials that hold both;
        pairs with fewer than two are left out, and `unmeasured` says so.

    Raises:
        ValueError: if the combination is a single, shapes differ, or the embedding of a present row is not finite.
    """
    if combination.is_single:
        raise ValueError(f"{combination.name} has no pair of modalities: evaluate two views of it")
    _require_embeddings(embeddings, present, combination)
    results = {}
    for first, second in combinations(combination.modalities, 2):
        rows = np.flatnonzero(_present_in_all((first, second), present))
        if len(rows) >= MIN_ROWS:
            keys = rows if shuffle is None else np.random.default_rng(shuffle).permutation(rows)
            both = ranks_both(embeddings[first][rows], embeddings[second][keys], chunk_size=chunk_size)
            kind = combination.kind(first, second)
            for pair, ranks in zip(((first, second), (second, first)), both, strict=True):
                results[pair_name(*pair)] = Ranked(kind, ranks)
    names = [pair_name(*pair) for pair in combination.pairs()]
    return {name: results[name] for name in names if name in results}


def rank_fused(
    embeddings: Mapping[str, FloatArray],
    present: Mapping[str, BoolArray],
    combination: Combination,
    *,
    chunk_size: int = CHUNK_SIZE,
) -> dict[str, Ranked]:
    """Rank the true keys for several measurements of a material at once: the mean of their unit vectors is the query.

    Args, Raises: as `rank_pairs`.

    Returns:
        The ranks of every set of two modalities or more and every key outside it by name, ``dos+text->crystal``;
        nothing for fewer than three modalities. The gallery is the test materials that hold all of them, so N differs
        from the pairs'. A result is aligned if the hub is the key or in the query, else emergent.
    """
    _require_embeddings(embeddings, present, combination)
    results = {}
    for subset, key in _fusions(combination):
        rows = _present_in_all((*subset, key), present)
        if rows.sum() >= MIN_ROWS:
            query = np.mean([unit_rows(embeddings[name][rows]) for name in subset], axis=0)
            kind: Kind = "aligned" if combination.hub in (*subset, key) else "emergent"
            rank = ranks(query, embeddings[key][rows], chunk_size=chunk_size)
            results[pair_name("+".join(subset), key)] = Ranked(kind, rank)
    return results


def unmeasured(present: Mapping[str, BoolArray], combination: Combination) -> dict[str, str]:
    """Return why a pair or a fused query of the combination has no result, by its name.

    Args:
        present: whether each test material holds the modality, shape (n_test,).
        combination: the one that is evaluated.
    """
    questions = [((query,), key) for query, key in combination.pairs()] + list(_fusions(combination))
    return {
        pair_name("+".join(queries), key): f"needs {MIN_ROWS} test materials that hold all of it, found {n}"
        for queries, key in questions
        if (n := int(_present_in_all((*queries, key), present).sum())) < MIN_ROWS
    }


def _fusions(combination: Combination) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every set of two modalities or more, with every key outside it."""
    for size in range(2, len(combination.modalities)):
        for subset in combinations(combination.modalities, size):
            yield from ((subset, key) for key in combination.modalities if key not in subset)


def _present_in_all(names: Sequence[str], present: Mapping[str, BoolArray]) -> BoolArray:
    return np.asarray(np.all([present[name] for name in names], axis=0))


def _require_embeddings(
    embeddings: Mapping[str, FloatArray], present: Mapping[str, BoolArray], combination: Combination
) -> None:
    for name in combination.modalities:
        if embeddings[name].shape[:1] != present[name].shape:
            raise ValueError(f"{name}: {embeddings[name].shape=} and {present[name].shape=} differ in their rows")
        _require_finite(embeddings[name], present[name], name)


def _require_finite(values: FloatArray, rows: BoolArray, name: str) -> None:
    bad = np.flatnonzero(rows & ~np.isfinite(values).all(axis=-1))
    if len(bad):
        raise ValueError(f"{name}: {len(bad)} of {len(values)} embeddings are not finite, the first in row {bad[0]}")


def _not_empty(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not len(values):
        raise ValueError("no query to average over")
    return values
