"""What can be read off the frozen embeddings by a linear map, beside what the bare composition tells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.contribution import resampled_means, resampling_weights
from matbind.analysis.measures.probe import (
    ProbeResult,
    Target,
    element_fractions,
    probe_all,
    property_targets,
    symmetry_targets,
)
from matbind.analysis.task import Task
from matbind.evaluation.vectors import held_rows, unit_rows
from matbind.materials.structure import structure_of
from matbind.modalities.material import SPLITS
from matbind.modalities.records import Records
from matbind.training.embeddings import Embeddings

BASELINE, FUSED = "composition", "fused"
PROPERTIES = ("band_gap", "formation_energy_per_atom")


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination, and one for the composition."""
    made = [
        Task(name, partial(probe_combination, inputs.request, name), cost=10.0 * len(each.modalities))
        for name, each in inputs.combinations.items()
    ]
    return [Task(BASELINE, partial(probe_composition, inputs.request), cost=10.0), *made]


def targets(inputs: Inputs) -> list[Target]:
    """What the probes are asked for, of every material in the order of the index."""
    structures = Records(inputs.request.records).structures
    nothing = [None] * len(structures)
    known = {name: structures[name].to_list() if name in structures.columns else nothing for name in PROPERTIES}
    return [
        *symmetry_targets(inputs.symmetries),
        *property_targets(band_gap=known["band_gap"], formation_energy_per_atom=known["formation_energy_per_atom"]),
    ]


def probe_combination(request: Request, name: str) -> dict[str, dict[str, ProbeResult]]:
    """The probes of every modality's embedding and of the fused one, which of a single is its own."""
    inputs = open_inputs(request)
    embeddings = inputs.embeddings(name)
    if inputs.combinations[name].is_single:
        found = _probed(inputs, embeddings)
        return found | {FUSED: found[name]}
    return _probed(inputs, embeddings | {FUSED: fuse(embeddings)})


def probe_composition(request: Request) -> dict[str, dict[str, ProbeResult]]:
    """The probes of the element fractions."""
    inputs = open_inputs(request)
    structures = [structure_of(row) for row in Records(request.records).structures.iter_rows(named=True)]
    return _probed(inputs, {BASELINE: element_fractions(structures).astype(np.float32)})


def _probed(inputs: Inputs, embeddings: Mapping[str, Any]) -> dict[str, dict[str, ProbeResult]]:
    request = inputs.request
    sides: Any = inputs.split.tolist()
    n_resamples = request.settings.bootstrap_resamples
    return probe_all(embeddings, targets(inputs), sides, n_resamples=n_resamples, seed=request.seed)


def fuse(embeddings: Embeddings) -> npt.NDArray[np.float32]:
    """Mean of the unit vectors of the modalities that each material holds; NaN rows where it holds none."""
    total: Any = 0.0
    count: Any = 0
    for values in embeddings.values():
        held = held_rows(values)
        total = total + np.where(held[:, None], unit_rows(np.where(held[:, None], values, 0)), 0)
        count = count + held
    mean = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    return np.asarray(mean, dtype=np.float32)


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of probes.json, of what the tasks found by combination."""
    baseline = found[BASELINE][BASELINE]
    n_test = len(inputs.test)
    request = inputs.request
    weights = resampling_weights(n_test, n_resamples=request.settings.bootstrap_resamples, seed=request.seed)
    results: dict[str, Any] = dict(inputs.unavailable)
    for name in inputs.combinations:
        results[name] = {
            embedding: {target: _told(each) | _gain(each, baseline[target], weights) for target, each in own.items()}
            for embedding, own in found[name].items()
        }
    return {
        "targets": {each.name: _describe(each, inputs.split) for each in targets(inputs)},
        "baseline": {target: _told(each) for target, each in baseline.items()},
        "results": results,
    }


def _describe(target: Target, split: npt.NDArray[np.str_]) -> dict[str, Any]:
    known = np.array([value is not None and value == value for value in target.values])  # noqa: PLR0124  NaN
    return {
        "kind": target.kind,
        "metric": "accuracy" if target.kind == "class" else "mae",
        "unit": target.unit,
        "known": {side: int(known[split == side].sum()) for side in SPLITS},
    }


def _told(result: ProbeResult) -> dict[str, Any]:
    plain = result.as_dict()
    reason = plain.pop("reason")
    del plain["target"]
    return plain if reason is None else {"unavailable": reason}


def _gain(result: ProbeResult, baseline: ProbeResult, weights: npt.NDArray[np.float32]) -> dict[str, Any]:
    """What the embedding tells beyond the composition, on the materials that both were asked; positive is better."""
    if result.reason or baseline.reason:
        return {}
    mean, low, high = paired(result.scores, baseline.scores, weights)
    return {"gain_over_composition": mean, "gain_over_composition_ci95": [low, high]}


def paired(
    scores: npt.NDArray[np.float64], others: npt.NDArray[np.float64], weights: npt.NDArray[np.float32]
) -> tuple[float, float, float]:
    """Mean difference of two rows of scores where both are known, and its 95 % bootstrap interval."""
    difference = scores - others
    means = resampled_means(difference, weights)
    low, high = np.nanquantile(means, [0.025, 0.975])
    return float(np.nanmean(difference)), float(low), float(high)
