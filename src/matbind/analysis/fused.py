"""Several measurements of a material at once: fused queries beside their parts, on the same gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import present_rows, ranks, unit_rows
from matbind.evaluation.two_level import DoubleArray, mean_interval, resampling_weights
from matbind.training.embeddings import Embeddings

LEAST_MODALITIES = 3  # two to ask with, one to ask for
Rows = npt.NDArray[np.int64]


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination of three modalities or more."""
    return [
        Task(name, partial(fused_and_parts, inputs.request, name))
        for name, combination in inputs.combinations.items()
        if len(combination.modalities) >= LEAST_MODALITIES
    ]


def fused_and_parts(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """Return every fused query of a combination, as it was evaluated, with what each of its parts reaches alone."""
    inputs = open_inputs(request)
    trainings = [inputs.test_modalities(name, seed) for seed in inputs.seeds(name)]
    present = {modality: present_rows(values) for modality, values in trainings[0].items()}
    results = {}
    for question, result in inputs.runs[name]["fused"].items():
        asked, _, key = question.partition("->")
        queries = asked.split("+")
        rows = np.flatnonzero(np.all([present[modality] for modality in (*queries, key)], axis=0))
        parts = {query: _hits(trainings, [query], key, rows) for query in queries}
        means = {query: float(hits.mean()) for query, hits in parts.items()}
        best = max(queries, key=lambda query: means[query])
        gains = _hits(trainings, queries, key, rows) - parts[best]  # of the same training, so these are paired too
        weights = resampling_weights(len(rows), n_resamples=request.settings.bootstrap_resamples, seed=request.seed)
        gain = float(gains.mean())
        results[question] = {
            **result,
            "queries": queries,
            "key": key,
            "parts": means,
            "best_part": best,
            "gain": gain,
            "gain_ci95": mean_interval(gains, weights),
        }
    return results


def _hits(trainings: Sequence[Embeddings], queries: Sequence[str], key: str, rows: Rows) -> DoubleArray:
    """Return whether the mean of the unit vectors of some modalities finds the key, shape (n_trainings, n_rows)."""
    hits = []
    for embeddings in trainings:
        mean = np.mean([unit_rows(embeddings[query][rows]) for query in queries], axis=0)
        hits.append(ranks(mean, embeddings[key][rows]) <= 1)
    return np.array(hits, dtype=np.float64)


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of fused.json."""
    missing = {name: why for name, why in inputs.unavailable.items() if len(name.split("+")) >= LEAST_MODALITIES}
    return {"results": {**missing, **results}}
