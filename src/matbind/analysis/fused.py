"""Several measurements of a material at once: fused queries beside their parts, on the same gallery."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.contribution import resampling_weights
from matbind.analysis.probes import paired
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import ranks
from matbind.evaluation.vectors import held_rows, unit_rows

LEAST_MODALITIES = 3  # two to ask with, one to ask for


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination of three modalities or more."""
    return [
        Task(name, partial(fused_and_parts, inputs.request, name))
        for name, each in inputs.combinations.items()
        if len(each.modalities) >= LEAST_MODALITIES
    ]


def fused_and_parts(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """Every fused query of a combination, as it was evaluated, with what each of its parts reaches alone."""
    inputs = open_inputs(request)
    embeddings = inputs.test_modalities(name)
    held = {each: held_rows(values) for each, values in embeddings.items()}
    found = {}
    for question, result in inputs.runs[name]["fused"].items():
        asked, _, key = question.partition("->")
        queries = asked.split("+")
        rows = np.flatnonzero(np.all([held[each] for each in (*queries, key)], axis=0))
        keys = embeddings[key][rows]
        hits = {each: (ranks(embeddings[each][rows], keys) <= 1).astype(float) for each in queries}
        mean = np.mean([unit_rows(embeddings[each][rows]) for each in queries], axis=0)
        fused = (ranks(mean, keys) <= 1).astype(float)
        best = max(queries, key=lambda each: float(hits[each].mean()))
        weights = resampling_weights(len(rows), n_resamples=request.settings.bootstrap_resamples, seed=request.seed)
        gain, low, high = paired(fused, hits[best], weights)
        found[question] = {
            **result,
            "queries": queries,
            "key": key,
            "parts": {each: float(hits[each].mean()) for each in queries},
            "best_part": best,
            "gain": gain,
            "gain_ci95": [low, high],
        }
    return found


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of fused.json."""
    missing = {name: why for name, why in inputs.unavailable.items() if len(name.split("+")) >= LEAST_MODALITIES}
    return {"results": {**missing, **found}}
