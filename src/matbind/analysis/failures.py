"""What was retrieved instead: the worst answers, how near they are as materials, and patterns to be overlaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.failures import RELATIONS, Identity, label_chance, label_ranks
from matbind.analysis.measures.failures import failures as wrong_answers
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import present_rows
from matbind.modalities.combinations import pair_name
from matbind.modalities.store import Store

PXRD = "pxrd"  # the modality whose wrong answers are drawn
PATTERN_DIGITS = 4  # a line that is drawn needs no more


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination: the one of all modalities, and those that are best at a pair."""
    wanted: dict[str, list[str]] = {}
    if inputs.everything in inputs.combinations:
        wanted[inputs.everything] = [pair_name(*pair) for pair in inputs.combinations[inputs.everything].pairs()]
    for pair, name in best_models(inputs).items():
        if pair not in wanted.setdefault(name, []):
            wanted[name].append(pair)
    return [
        Task(name, partial(failures_of, inputs.request, name, tuple(pairs)), cost=2.0 * len(pairs))
        for name, pairs in wanted.items()
    ]


def best_models(inputs: Inputs) -> dict[str, str]:
    """Return the trained combination with the highest recall@1 by pair of two modalities."""
    best: dict[str, str] = {}
    for name, run in inputs.runs.items():
        for pair, result in run["pairs"].items():
            if result["kind"] == "view":
                continue
            if pair not in best or result["recall_at_1"] > inputs.runs[best[pair]]["pairs"][pair]["recall_at_1"]:
                best[pair] = name
    return best


def failures_of(request: Request, name: str, pairs: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the failures of some pairs of one combination, on the test split, by the training that is its model."""
    inputs = open_inputs(request)
    embeddings = inputs.test_modalities(name)
    results: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        if pair not in inputs.runs[name]["pairs"]:
            results[pair] = {"unavailable": inputs.runs[name]["unmeasured"].get(pair, "it was not evaluated")}
            continue
        query, _, key = pair.partition("->")
        rows = np.flatnonzero(present_rows(embeddings[query]) & present_rows(embeddings[key]))
        queries, keys = embeddings[query][rows], embeddings[key][rows]
        positions = inputs.test[rows]
        ids, formulas = (inputs.index[column][positions] for column in ("material_id", "formula"))
        symmetries = [inputs.symmetries[int(position)] for position in positions]
        identities = [Identity(*values) for values in zip(ids, formulas, symmetries, strict=True)]
        wrong = wrong_answers(queries, keys, identities)
        relations = Counter(row["relation"] for row in wrong)
        results[pair] = {
            "n": len(rows),
            "n_failed": len(wrong),
            "recall_at_1": 1 - len(wrong) / len(rows),
            "relations": {relation: relations[relation] for relation in RELATIONS},
            "worst": wrong[: request.settings.worst_failures],
        }
        labels: dict[str, list[Any]] = {
            "same_formula": [identity.formula for identity in identities],
            "same_prototype": [identity.symmetry.prototype if identity.symmetry else None for identity in identities],
        }
        for label, values in labels.items():
            results[pair][f"recall_at_1_{label}"] = float(np.mean(label_ranks(queries, keys, values) <= 1))
            results[pair][f"chance_{label}"] = label_chance(values)
    return results


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of failures.json."""
    everything = inputs.everything
    missing = {name: why for name, why in inputs.unavailable.items() if name == everything}
    shown = {
        row[column]
        for pairs in results.values()
        for pair, result in pairs.items()
        if pair.startswith(f"{PXRD}->")
        for row in result.get("worst", ())
        for column in ("material_id", "found_id")
    }
    return {
        "results": {**missing, **results},
        "best_model": best_models(inputs),
        "patterns": _patterns(inputs, sorted(shown)),
    }


def _patterns(inputs: Inputs, material_ids: Sequence[str]) -> dict[str, Any]:
    """Return stored patterns, of several bins together where there are more than are drawn the highest."""
    store = Store(inputs.request.features / PXRD)
    positions = {material_id: row for row, material_id in enumerate(inputs.index["material_id"])}
    patterns = store.dense("pattern", np.array([positions[name] for name in material_ids], dtype=np.int64))
    low, high = store.meta["two_theta_deg"]
    n_bins = patterns.shape[1]
    together = max(1, -(-n_bins // inputs.request.settings.pattern_points))
    starts = np.arange(0, n_bins, together)
    ends = np.minimum(starts + together, n_bins)
    highest = np.fmax.reduceat(patterns, starts, axis=1) if material_ids else patterns
    return {
        "two_theta_deg": low + (starts + ends) / 2 * ((high - low) / n_bins),
        "intensity": {
            material_id: np.round(pattern.astype(float), PATTERN_DIGITS)
            for material_id, pattern in zip(material_ids, highest, strict=True)
        },
    }
