"""Recall@1 against the size of the gallery: what makes numbers of different test splits comparable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import (
    CHUNK_SIZE,
    MIN_ROWS,
    TIE_TOLERANCE,
    IntArray,
    present_rows,
    ranks,
    unit_rows,
)
from matbind.evaluation.two_level import SHARE, DoubleArray, mean_interval, resampling_weights
from matbind.modalities.combinations import pair_name
from matbind.training.embeddings import VIEWS

FloatArray = npt.NDArray[np.floating[Any]]

PAPER_GALLERY_SIZE = 8400  # at most: all validation rows that hold both modalities


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination."""
    return [
        Task(name, partial(by_size, inputs.request, name), cost=float(len(combination.pairs())))
        for name, combination in inputs.combinations.items()
    ]


def by_size(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """Return the recall of every pair of a combination, in galleries drawn at random from the test split.

    Beside them stands one larger than the test split: the keys of the other splits are added, so that every query has
    as many wrong answers to choose from as there are materials. Recalls are means over the trainings.
    """
    inputs = open_inputs(request)
    combination = inputs.combinations[name]
    trainings = [(inputs.test_embeddings(name, seed), inputs.embeddings(name, seed)) for seed in inputs.seeds(name)]
    others = inputs.split != "test"
    results: dict[str, dict[str, Any]] = {}
    for query, key in combination.pairs():
        sides = [f"{query}.view{number}" for number in range(VIEWS)] if combination.is_single else [query, key]
        rows = np.flatnonzero(np.all([present_rows(trainings[0][0][side]) for side in sides], axis=0))
        if len(rows) < MIN_ROWS:
            results[pair_name(query, key)] = {"unavailable": f"{len(rows)} test materials hold both"}
            continue
        rank = np.array([ranks(*(embeddings[side][rows] for side in sides)) for embeddings, _ in trainings])
        sizes = sorted({2**power for power in range(1, int(np.log2(len(rows))) + 1)} | {len(rows)})
        hits = {size: np.array([hit_chances(of, gallery_size=size) for of in rank]) for size in sizes}
        weights = resampling_weights(len(rows), n_resamples=request.settings.bootstrap_resamples, seed=request.seed)
        result: dict[str, Any] = {
            "kind": combination.kind(query, key),
            "n": len(rows),
            "size": sizes,
            "recall_at_1": [float(hits[size].mean()) for size in sizes],
            "recall_at_1_ci95": [mean_interval(hits[size], weights, limits=SHARE) for size in sizes],
            "chance_at_1": [1 / size for size in sizes],
        }
        if not combination.is_single:
            hits_of_all, size = [], 0
            for of_training, (embeddings, whole) in zip(rank, trainings, strict=True):
                distractors = whole[key][others & present_rows(whole[key])]
                ahead = distractors_ahead(embeddings[query][rows], embeddings[key][rows], distractors)
                hits_of_all.append((of_training + ahead <= 1).astype(np.float64))
                size = len(rows) + len(distractors)
            result["with_other_splits"] = {
                "size": size,
                "recall_at_1": float(np.mean(hits_of_all)),
                "recall_at_1_ci95": mean_interval(np.array(hits_of_all), weights, limits=SHARE),
            }
        results[pair_name(query, key)] = result
    return results


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of gallery.json."""
    return {"paper_gallery_size": PAPER_GALLERY_SIZE, "results": {**inputs.unavailable, **results}}


def hit_chances(ranks: IntArray, *, gallery_size: int) -> DoubleArray:
    """Return with which probability each query would hit in a random gallery that holds the true key.

    Their mean is the expected recall@1; chance is 1 / n. Of the n - 1 other keys, drawn without replacement from N - 1,
    a hypergeometric number is at least as similar as the true one; the query hits if that is 0. Nothing is sampled.

    Args:
        ranks: 1-based ranks in the full gallery, one a query, shape (N,); ties count against the query.
        gallery_size: n, from 1 to N.
    """
    from scipy.stats import hypergeom

    better, which = np.unique(ranks - 1, return_inverse=True)
    return np.asarray(hypergeom.cdf(0, len(ranks) - 1, better, gallery_size - 1)[which])


def distractors_ahead(queries: FloatArray, keys: FloatArray, distractors: FloatArray) -> IntArray:
    """Count the keys of other materials that are at least as similar to each query as its true key.

    Args:
        queries: shape (n, d).
        keys: of the same materials in the same order, shape (n, d).
        distractors: of materials that are not asked for, shape (n_distractors, d).

    Returns:
        Shape (n,); added to the rank among the keys, the rank in the gallery of keys and distractors.
    """
    unit_queries, unit_distractors = unit_rows(queries), unit_rows(distractors)
    threshold = np.einsum("id,id->i", unit_queries, unit_rows(keys)) - TIE_TOLERANCE
    ahead = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        ahead[rows] = np.count_nonzero(unit_queries[rows] @ unit_distractors.T >= threshold[rows, None], axis=1)
    return ahead
