"""What can be read off the frozen embeddings by a linear map, beside what the bare composition says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.measures.probe import (
    ProbeResult,
    Target,
    element_fractions,
    probe,
    property_targets,
    symmetry_targets,
)
from matbind.analysis.task import Task
from matbind.evaluation.retrieval import present_rows, unit_rows
from matbind.evaluation.two_level import Weights, paired_change
from matbind.materials.structure import structure_of
from matbind.modalities.material import SPLITS
from matbind.modalities.records import Records
from matbind.training.embeddings import Embeddings

BASELINE, FUSED = "composition", "fused"
PROPERTIES = ("band_gap", "formation_energy_per_atom")

Probes = dict[str, dict[str, ProbeResult]]
"""By embedding and target."""


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination, and one for the composition."""
    return [
        Task(BASELINE, partial(probe_composition, inputs.request), cost=10.0),
        *(
            Task(name, partial(probe_combination, inputs.request, name), cost=10.0 * len(combination.modalities))
            for name, combination in inputs.combinations.items()
        ),
    ]


def targets(inputs: Inputs) -> list[Target]:
    """Return what the probes are asked for, of every material in the order of the index."""
    structures = Records(inputs.request.records).structures
    nothing = [None] * len(structures)
    known = {name: structures[name].to_list() if name in structures.columns else nothing for name in PROPERTIES}
    return [*symmetry_targets(inputs.symmetries), *property_targets(**known)]


def probe_combination(request: Request, name: str) -> Probes:
    """Probe the embedding of every modality and the fused one, which for a single is the same."""
    inputs = open_inputs(request)
    trainings = [inputs.embeddings(name, seed) for seed in inputs.seeds(name)]
    if inputs.combinations[name].is_single:
        results = _probe_all(inputs, trainings)
        return results | {FUSED: results[name]}
    return _probe_all(inputs, [embeddings | {FUSED: fuse(embeddings)} for embeddings in trainings])


def probe_composition(request: Request) -> Probes:
    """Probe the element fractions."""
    structures = [structure_of(row) for row in Records(request.records).structures.iter_rows(named=True)]
    return _probe_all(open_inputs(request), [{BASELINE: element_fractions(structures).astype(np.float32)}])


def fuse(embeddings: Embeddings) -> npt.NDArray[np.float32]:
    """Return the mean of the unit vectors of the modalities that each material holds; NaN where it holds none."""
    total: Any = 0.0
    count: Any = 0
    for values in embeddings.values():
        present = present_rows(values)
        total = total + np.where(present[:, None], unit_rows(np.where(present[:, None], values, 0)), 0)
        count = count + present
    mean = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    return np.asarray(mean, dtype=np.float32)


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of probes.json."""
    baseline = results[BASELINE][BASELINE]
    measured = {
        name: {
            embedding: {
                target: result.as_dict() | _gain(baseline[target], result, inputs.weights)
                for target, result in by_target.items()
            }
            for embedding, by_target in results[name].items()
        }
        for name in inputs.combinations
    }
    return {
        "targets": {target.name: _describe(target, inputs.split) for target in targets(inputs)},
        "baseline": {target: result.as_dict() for target, result in baseline.items()},
        "results": inputs.unavailable | measured,
    }


def _probe_all(inputs: Inputs, trainings: Sequence[Embeddings]) -> Probes:
    sides: Any = inputs.split.tolist()
    seed, n_resamples = inputs.request.seed, inputs.request.settings.bootstrap_resamples
    wanted = targets(inputs)
    results: Probes = {}
    for name in trainings[0]:
        values = [embeddings[name] for embeddings in trainings]
        results[name] = {
            target.name: probe(values, target, sides, n_resamples=n_resamples, seed=seed) for target in wanted
        }
    return results


def _describe(target: Target, split: npt.NDArray[np.str_]) -> dict[str, Any]:
    known = np.array([value is not None and value == value for value in target.values])  # noqa: PLR0124  NaN
    return {
        "kind": target.kind,
        "metric": target.metric,
        "unit": target.unit,
        "known": {side: int(known[split == side].sum()) for side in SPLITS},
    }


def _gain(baseline: ProbeResult, result: ProbeResult, weights: Weights) -> dict[str, Any]:
    """Return what the embedding says beyond the composition, on the materials both were asked; positive is better."""
    if result.reason or baseline.reason:
        return {}
    gain, ci95 = paired_change(baseline.scores, result.scores, weights)
    return {"gain_over_composition": gain, "gain_over_composition_ci95": ci95}
