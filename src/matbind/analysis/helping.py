"""Whether a modality helps: what changes when it is added, the worth of the hub, and a fair division by Shapley."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.contribution import Change, Scores, changes, hits_by_query, missing_combinations
from matbind.analysis.measures.probe import ProbeResult, Target
from matbind.analysis.measures.shapley import Worth, shapley_bounds, shares, worth_of_probe, worth_of_retrieval
from matbind.analysis.probes import FUSED, targets
from matbind.analysis.task import Task, UnavailableError, answer
from matbind.evaluation.two_level import DoubleArray, Weights
from matbind.modalities.table import modality_names, structure_name

RETRIEVAL_SCORE = "mean recall@1 over all ordered pairs, chance for a pair that a combination cannot answer"
CLASS_SCORE = "accuracy of a probe of the fused embedding"
NUMBER_SCORE = "minus the mean absolute error of a probe of the fused embedding"

Probes = Mapping[str, Mapping[str, ProbeResult]]
"""The probes of one combination by embedding and target."""


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination: which of its queries hit."""
    return [
        Task(name, partial(hits, inputs.request, name), cost=float(len(combination.modalities)))
        for name, combination in inputs.combinations.items()
    ]


def hits(request: Request, name: str) -> dict[str, DoubleArray]:
    """Return whether the key of each test material is nearest, for every pair of a combination.

    Returns:
        By pair, shape (n_trainings, n_test).
    """
    inputs = open_inputs(request)
    trainings = [
        hits_by_query(inputs.test_modalities(name, seed), inputs.combinations[name]) for seed in inputs.seeds(name)
    ]
    return {pair: np.stack([hits[pair] for hits in trainings]) for pair in trainings[0]}


def assemble(inputs: Inputs, retrieval: Scores, probes: Mapping[str, Probes]) -> dict[str, Any]:
    """Return the content of helping.json.

    Args:
        inputs: materials and models.
        retrieval: hits by combination and pair.
        probes: of every combination.
    """
    scores = {
        name: {**retrieval[name], **{q: r.scores for q, r in _questions(probes[name]) if r.reason is None}}
        for name in inputs.combinations
    }
    all_changes = changes(scores, inputs.weights, hub_order=inputs.request.hub_order)
    numbers = {q for of_model in probes.values() for q, result in _questions(of_model) if result.metric == "mae"}
    return {
        "changes": [asdict(change) for change in all_changes],
        "summary": {
            name: _summary([change for change in all_changes if change.modality == name], numbers)
            for name in modality_names()
        },
        "worth_of_hub": [
            asdict(change) for change in all_changes if change.modality == structure_name() and "+" in change.before
        ],
        "missing": missing_combinations(inputs.combinations),
        "shapley": {
            "retrieval": answer(partial(_retrieval, retrieval, inputs.weights)),
            "probes": {target.name: answer(partial(_probe, inputs, probes, target)) for target in targets(inputs)},
        },
    }


def excerpt(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of metrics/shapley.json."""
    shapley = content["shapley"]
    probes = {f"probe {name}": division for name, division in shapley["probes"].items()}
    return {
        name: {
            modality: {"value": share["value"], "low": share["ci95"][0], "high": share["ci95"][1]}
            for modality, share in division["values"].items()
        }
        for name, division in {"retrieval": shapley["retrieval"], **probes}.items()
        if "values" in division
    }


def _questions(probes: Probes) -> Iterator[tuple[str, ProbeResult]]:
    for embedding, by_target in probes.items():
        for target, result in by_target.items():
            yield f"probe {embedding}: {target}", result


def _summary(added: Sequence[Change], numbers: set[str]) -> dict[str, Any]:
    """Return the mean change, and in how many questions the interval leaves no doubt; numbers have other units."""
    pairs = [change for change in added if change.kind_before is not None]
    probes = [change for change in added if change.kind_before is None and change.question not in numbers]
    return {"pairs": _counts(pairs), "probes": _counts(probes)}


def _counts(added: Sequence[Change]) -> dict[str, Any]:
    better = sum(change.change_ci95[0] > 0 for change in added)
    worse = sum(change.change_ci95[1] < 0 for change in added)
    return {
        "n": len(added),
        "mean_change": float(np.mean([change.change for change in added])) if added else None,
        "better": better,
        "worse": worse,
        "unclear": len(added) - better - worse,
    }


def _retrieval(scores: Scores, weights: Weights) -> dict[str, Any]:
    several = {name: by_pair for name, by_pair in scores.items() if "+" in name}
    worth, none = worth_of_retrieval(several, weights)
    return {"none": none, "score": RETRIEVAL_SCORE, **_division(worth, empty=none, limits=(none, 1.0))}


def _probe(inputs: Inputs, probes: Mapping[str, Probes], target: Target) -> dict[str, Any]:
    """Divide one probe of the fused embedding, on the test materials that every combination is asked."""
    results = {name: of_model[FUSED][target.name] for name, of_model in probes.items()}
    for result in results.values():
        if result.reason:
            raise UnavailableError(result.reason)
    asked = np.all([np.isfinite(result.scores).all(axis=0) for result in results.values()], axis=0)
    if not asked.any():
        raise UnavailableError(f"no test material with {target.name} holds all modalities")
    scores = {name: np.where(asked, result.scores, np.nan) for name, result in results.items()}
    is_class = target.kind == "class"
    empty = _without_any(target, inputs.split, inputs.test[asked])
    worth = worth_of_probe(scores, inputs.weights)
    return {
        "none": empty,
        "n": int(asked.sum()),
        "score": CLASS_SCORE if is_class else NUMBER_SCORE,
        **_division(worth, empty=empty, limits=(0.0, 1.0) if is_class else None),
    }


def _without_any(target: Target, split: npt.NDArray[np.str_], asked: npt.NDArray[np.int64]) -> float:
    """Return the score without any modality: of the most frequent training label, or of the training median."""
    trained = [value for value, side in zip(target.values, split, strict=True) if side == "train" and value is not None]
    truth = [target.values[int(row)] for row in asked]
    if target.kind == "class":
        most = Counter(sorted(trained)).most_common(1)[0][0]
        return float(np.mean([value == most for value in truth]))
    return -float(np.abs(np.array(truth) - np.nanmedian(trained)).mean())


def _division(worth: Mapping[str, Worth], *, empty: float, limits: tuple[float, float] | None) -> dict[str, Any]:
    """Return exact values, or where combinations are missing what is known of them if scores have limits."""
    missing = missing_combinations(worth)
    if not missing:
        values = {name: asdict(share) for name, share in shares(worth, empty=empty).items()}
        return {"values": values, "everything": worth["+".join(modality_names())].value}
    if limits is None:
        raise UnavailableError(f"{', '.join(missing)} are missing, and an error has no upper bound")
    known = {name: of.value for name, of in worth.items()}
    return {"bounds": shapley_bounds(known, empty=empty, lowest=limits[0], highest=limits[1]), "missing": missing}
