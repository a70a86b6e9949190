"""Recall@1 against the size of the gallery: what makes numbers of different test splits comparable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.gallery import distractors_ahead, recall_by_gallery_size
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import MIN_ROWS, IntArray, ranks
from matbind.evaluation.vectors import held_rows
from matbind.modalities.combinations import pair_name
from matbind.training.embeddings import VIEWS

PAPER_GALLERY_SIZE = 8400  # at most: all validation rows that hold both modalities


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination."""
    return [
        Task(name, partial(by_size, inputs.request, name), cost=float(len(each.pairs())))
        for name, each in inputs.combinations.items()
    ]


def by_size(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """Recall of every pair of a combination, in galleries drawn at random from the test split.

    Beside them one larger than the test split: the keys of the other splits are added, so that every query has as many
    wrong answers to choose from as there are materials.
    """
    inputs = open_inputs(request)
    combination, embeddings = inputs.combinations[name], inputs.test_embeddings(name)
    whole = inputs.embeddings(name)
    others = inputs.split != "test"
    found: dict[str, dict[str, Any]] = {}
    for query, key in combination.pairs():
        sides = [f"{query}.view{number}" for number in range(VIEWS)] if combination.is_single else [query, key]
        a, b = (embeddings[side] for side in sides)
        rows = np.flatnonzero(held_rows(a) & held_rows(b))
        if len(rows) < MIN_ROWS:
            found[pair_name(query, key)] = {"unavailable": f"{len(rows)} test materials hold both"}
            continue
        rank = ranks(a[rows], b[rows])
        told: dict[str, Any] = {"kind": combination.kind(query, key), "n": len(rows), **_curve(rank)}
        if not combination.is_single:
            distractors = whole[key][others & held_rows(whole[key])]
            ahead = distractors_ahead(a[rows], b[rows], distractors)
            size = len(rows) + len(distractors)
            told["with_other_splits"] = {"size": size, "recall_at_1": float(np.mean(rank + ahead <= 1))}
        found[pair_name(query, key)] = told
    return found


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of gallery.json."""
    return {"paper_gallery_size": PAPER_GALLERY_SIZE, "results": {**inputs.unavailable, **found}}


def _curve(rank: IntArray) -> dict[str, Any]:
    by_gallery = recall_by_gallery_size(rank, k=1)
    sizes = list(by_gallery)
    return {"size": sizes, "recall_at_1": list(by_gallery.values()), "chance_at_1": [1 / size for size in sizes]}
