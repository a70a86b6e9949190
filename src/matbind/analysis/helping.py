"""Whether a modality helps: what changes when it is added, the worth of the hub, and a fair division by Shapley."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, answer, open_inputs
from matbind.analysis.measures.contribution import (
    Change,
    DoubleArray,
    changes,
    hits_by_query,
    missing_combinations,
    worth_of_hub,
)
from matbind.analysis.measures.probe import ProbeResult, Target
from matbind.analysis.measures.shapley import (
    Share,
    shapley_bounds,
    shapley_of_probe,
    shapley_of_retrieval,
    worth_of_probe,
    worth_of_retrieval,
)
from matbind.analysis.measures.unavailable import UnavailableError
from matbind.analysis.probes import FUSED, targets
from matbind.analysis.task import Task
from matbind.modalities.table import modality_names

HUB = "crystal"
PROBE = "probe "
RETRIEVAL_SCORE = "mean recall@1 over all ordered pairs, chance for a pair that a combination cannot answer"
CLASS_SCORE = "accuracy of a probe of the fused embedding"
NUMBER_SCORE = "minus the mean absolute error of a probe of the fused embedding"

Scores = Mapping[str, Mapping[str, DoubleArray]]
Probes = Mapping[str, Mapping[str, Mapping[str, ProbeResult]]]
"""By combination, embedding and target."""


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination: which of its queries hit."""
    return [
        Task(name, partial(hits, inputs.request, name), cost=float(len(each.modalities)))
        for name, each in inputs.combinations.items()
    ]


def hits(request: Request, name: str) -> dict[str, DoubleArray]:
    """Whether each test material's key is nearest, for every pair of a combination."""
    inputs = open_inputs(request)
    return hits_by_query(inputs.test_modalities(name), inputs.combinations[name])


def assemble(inputs: Inputs, retrieval: Scores, probes: Probes) -> dict[str, Any]:
    """The content of helping.json.

    Args:
        inputs: materials and models.
        retrieval: hits by combination and pair.
        probes: what the probes of each combination found.
    """
    own: dict[str, Any] = {"n_resamples": inputs.request.settings.bootstrap_resamples, "seed": inputs.request.seed}
    scores = {name: {**retrieval[name], **_probe_scores(probes[name])} for name in inputs.combinations}
    found = changes(scores, hub_order=inputs.request.hub_order, **own)
    numbers = {q for each in probes.values() for q in _questions(each, metric="mae")}
    return {
        "changes": [each.as_dict() for each in found],
        "summary": {name: _summary([c for c in found if c.modality == name], numbers) for name in modality_names()},
        "worth_of_hub": [each.as_dict() for each in worth_of_hub(scores, hub=HUB, **own)],
        "missing": missing_combinations(inputs.combinations),
        "shapley": {
            "retrieval": answer(lambda: _retrieval(retrieval, own)),
            "probes": {each.name: answer(partial(_probe, inputs, probes, each, own)) for each in targets(inputs)},
        },
    }


def excerpt(content: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of metrics/shapley.json."""
    shapley = content["shapley"]
    told = {"retrieval": shapley["retrieval"], **{f"probe {name}": each for name, each in shapley["probes"].items()}}
    return {
        name: {
            modality: {"value": share["value"], "low": share["ci95"][0], "high": share["ci95"][1]}
            for modality, share in each["values"].items()
        }
        for name, each in told.items()
        if "values" in each
    }


def _probe_scores(found: Mapping[str, Mapping[str, ProbeResult]]) -> dict[str, DoubleArray]:
    return {
        f"{PROBE}{embedding}: {target}": result.scores
        for embedding, each in found.items()
        for target, result in each.items()
        if result.reason is None
    }


def _questions(found: Mapping[str, Mapping[str, ProbeResult]], *, metric: str) -> set[str]:
    return {
        f"{PROBE}{embedding}: {target}"
        for embedding, each in found.items()
        for target, result in each.items()
        if result.metric == metric
    }


def _summary(found: list[Change], numbers: set[str]) -> dict[str, Any]:
    """Mean change, and in how many questions the interval leaves no doubt; numbers have units of their own."""
    pairs = [each for each in found if each.kind_before is not None]
    probes = [each for each in found if each.kind_before is None and each.question not in numbers]
    return {"pairs": _counts(pairs), "probes": _counts(probes)}


def _counts(found: list[Change]) -> dict[str, Any]:
    better = sum(each.change_ci95[0] > 0 for each in found)
    worse = sum(each.change_ci95[1] < 0 for each in found)
    return {
        "n": len(found),
        "mean_change": float(np.mean([each.change for each in found])) if found else None,
        "better": better,
        "worse": worse,
        "unclear": len(found) - better - worse,
    }


def _retrieval(scores: Scores, own: Mapping[str, Any]) -> dict[str, Any]:
    several = {name: each for name, each in scores.items() if "+" in name}
    worth, none = worth_of_retrieval(several)
    told = {"none": none, "score": RETRIEVAL_SCORE}
    return told | _shares_or_bounds(lambda: shapley_of_retrieval(several, **own), worth, empty=none, range_=(none, 1.0))


def _probe(inputs: Inputs, probes: Probes, target: Target, own: Mapping[str, Any]) -> dict[str, Any]:
    """Shapley values of one probe of the fused embedding, on the test materials that every combination is asked."""
    found = {name: each[FUSED][target.name] for name, each in probes.items()}
    for result in found.values():
        if result.reason:
            raise UnavailableError(result.reason)
    asked = np.all([np.isfinite(each.scores) for each in found.values()], axis=0)
    if not asked.any():
        raise UnavailableError(f"no test material with {target.name} holds all modalities")
    scores = {name: np.where(asked, each.scores, np.nan) for name, each in found.items()}
    is_class = target.kind == "class"
    empty = _without_any(target, inputs.split, inputs.test[asked])
    told = {"none": empty, "n": int(asked.sum()), "score": CLASS_SCORE if is_class else NUMBER_SCORE}
    exact: Callable[[], dict[str, Share]] = partial(shapley_of_probe, scores, empty=empty, **own)
    return told | _shares_or_bounds(exact, worth_of_probe(scores), empty=empty, range_=(0.0, 1.0) if is_class else None)


def _without_any(target: Target, split: npt.NDArray[np.str_], asked: npt.NDArray[np.int64]) -> float:
    """Score without any modality: of the most frequent training label, or of the training median."""
    trained = [value for value, side in zip(target.values, split, strict=True) if side == "train" and value is not None]
    truth = [target.values[int(row)] for row in asked]
    if target.kind == "class":
        most = Counter(sorted(trained)).most_common(1)[0][0]
        return float(np.mean([value == most for value in truth]))
    return -float(np.abs(np.array(truth) - np.nanmedian(trained)).mean())


def _shares_or_bounds(
    exact: Callable[[], dict[str, Share]],
    worth: Mapping[str, Any],
    *,
    empty: float,
    range_: tuple[float, float] | None,
) -> dict[str, Any]:
    """Exact values, or where combinations are missing what is known of them if scores have a range."""
    missing = missing_combinations(worth)
    if not missing:
        shares = exact()
        return {
            "values": {name: {"value": each.value, "ci95": each.ci95} for name, each in shares.items()},
            "everything": worth["+".join(modality_names())],
        }
    if range_ is None:
        raise UnavailableError(f"{', '.join(missing)} are missing, and an error has no upper bound")
    bounds = shapley_bounds(worth, empty=empty, lowest=range_[0], highest=range_[1])
    return {"bounds": bounds, "missing": missing}
