"""Several measurements of a material at once: fused queries beside their parts, on the same gallery."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.bootstrap import paired_change, resampling_weights
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import present_rows, ranks, unit_rows

LEAST_MODALITIES = 3  # two to ask with, one to ask for


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
    embeddings = inputs.test_modalities(name)
    present = {modality: present_rows(values) for modality, values in embeddings.items()}
    results = {}
    for question, result in inputs.runs[name]["fused"].items():
        asked, _, key = question.partition("->")
        queries = asked.split("+")
        rows = np.flatnonzero(np.all([present[modality] for modality in (*queries, key)], axis=0))
        keys = embeddings[key][rows]
        hits = {query: (ranks(embeddings[query][rows], keys) <= 1).astype(float) for query in queries}
        mean = np.mean([unit_rows(embeddings[query][rows]) for query in queries], axis=0)
        fused = (ranks(mean, keys) <= 1).astype(float)
        parts = {query: float(values.mean()) for query, values in hits.items()}
        best = max(queries, key=lambda query: parts[query])
        weights = resampling_weights(len(rows), n_resamples=request.settings.bootstrap_resamples, seed=request.seed)
        gain, ci95 = paired_change(hits[best], fused, weights)
        results[question] = {
            **result,
            "queries": queries,
            "key": key,
            "parts": parts,
            "best_part": best,
            "gain": gain,
            "gain_ci95": ci95,
        }
    return results


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of fused.json."""
    missing = {name: why for name, why in inputs.unavailable.items() if len(name.split("+")) >= LEAST_MODALITIES}
    return {"results": {**missing, **results}}
