"""What was retrieved instead: the worst answers, how near they are as materials, and patterns to be overlaid."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.failures import Identity, count_relations
from matbind.analysis.measures.failures import failures as wrong_answers
from matbind.analysis.measures.gallery import label_chance, label_ranks
from matbind.analysis.task import Task
from matbind.evaluation.vectors import held_rows
from matbind.modalities.combinations import pair_name
from matbind.modalities.store import Store

PXRD = "pxrd"
PATTERN_DIGITS = 4  # a line that is drawn needs no more


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination: the one of all modalities, and those that are best at a pair."""
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
    """By pair of two modalities, the trained combination with the highest recall@1."""
    best: dict[str, str] = {}
    for name, run in inputs.runs.items():
        for pair, result in run["pairs"].items():
            if result["kind"] == "view":
                continue
            if pair not in best or result["recall_at_1"] > inputs.runs[best[pair]]["pairs"][pair]["recall_at_1"]:
                best[pair] = name
    return best


def failures_of(request: Request, name: str, pairs: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The failures of some pairs of one combination, on the test split."""
    inputs = open_inputs(request)
    embeddings = inputs.test_modalities(name)
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        if pair not in inputs.runs[name]["pairs"]:
            found[pair] = {"unavailable": inputs.runs[name]["unmeasured"].get(pair, "it was not evaluated")}
            continue
        query, _, key = pair.partition("->")
        rows = np.flatnonzero(held_rows(embeddings[query]) & held_rows(embeddings[key]))
        asked, keys = embeddings[query][rows], embeddings[key][rows]
        identities = _identities(inputs, rows)
        wrong = wrong_answers(asked, keys, identities, order_by="margin")
        labels: dict[str, list[Any]] = {
            "same_formula": [each.formula for each in identities],
            "same_prototype": [each.symmetry.prototype if each.symmetry else None for each in identities],
        }
        found[pair] = {
            "n": len(rows),
            "n_failed": len(wrong),
            "recall_at_1": 1 - len(wrong) / len(rows),
            "relations": count_relations(wrong),
            "worst": wrong[: request.settings.worst_failures],
        }
        for label, values in labels.items():
            found[pair][f"recall_at_1_{label}"] = float(np.mean(label_ranks(asked, keys, values) <= 1))
            found[pair][f"chance_{label}"] = label_chance(values, k=1)
    return found


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of failures.json, of what the tasks found by combination."""
    everything = inputs.everything
    missing = {name: why for name, why in inputs.unavailable.items() if name == everything}
    shown = {
        row[column]
        for pairs in found.values()
        for pair, result in pairs.items()
        if pair.startswith(f"{PXRD}->")
        for row in result.get("worst", ())
        for column in ("material_id", "found_id")
    }
    return {
        "results": {**missing, **found},
        "best_model": best_models(inputs),
        "patterns": _patterns(inputs, sorted(shown)),
    }


def _identities(inputs: Inputs, rows: Any) -> list[Identity]:
    positions = inputs.test[rows]
    materials = inputs.index[positions]
    return [
        Identity(material_id, formula, inputs.symmetries[int(position)])
        for material_id, formula, position in zip(
            materials["material_id"], materials["formula"], positions, strict=True
        )
    ]


def _patterns(inputs: Inputs, material_ids: list[str]) -> dict[str, Any]:
    """Stored patterns, several bins together where there are more than are drawn: the highest of them, as peaks are."""
    store = Store(inputs.request.features / PXRD)
    ids = {material_id: row for row, material_id in enumerate(inputs.index["material_id"])}
    rows = np.array([ids[material_id] for material_id in material_ids], dtype=np.int64)
    patterns = store.dense("pattern", rows)
    low, high = store.meta["two_theta_deg"]
    n_bins = patterns.shape[1]
    together = max(1, -(-n_bins // inputs.request.settings.pattern_points))
    width = (high - low) / n_bins
    starts = np.arange(0, n_bins, together)
    highest = np.fmax.reduceat(patterns, starts, axis=1) if len(rows) else patterns
    ends = np.minimum(starts + together, n_bins)
    return {
        "two_theta_deg": low + (starts + ends) / 2 * width,
        "intensity": {
            material_id: np.round(pattern.astype(float), PATTERN_DIGITS)
            for material_id, pattern in zip(material_ids, highest, strict=True)
        },
    }
