"""Figures 3 and 7: how perovskites lie among other ABX3 compounds in the crystal embedding, with and without pXRD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.labels import LABEL_SETS, describe_set, labels
from matbind.analysis.measures.latent import (
    MIN_MATERIALS,
    Overlap,
    density_overlap,
    group_difference,
    group_similarities,
)
from matbind.analysis.task import Task, UnavailableError, answer, mean_of
from matbind.evaluation.retrieval import present_rows
from matbind.modalities.combinations import parse_combination

CRYSTAL, PXRD = "crystal", "pxrd"
SAMPLES = ("all", "test")
APART = ("curve", "left_out", "p_pairs", "p_permutation")  # what is not averaged over trainings as it is
LEAST_FOR_JACKKNIFE = 10  # materials of each side: leaving a group out must leave the density its shape
PAPER = {"relative_without_pxrd": 0.14}

Vectors = npt.NDArray[np.floating[Any]]


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination with crystal."""
    return [Task(name, partial(separations, inputs.request, name)) for name in inputs.trained_with(CRYSTAL)]


def separations(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """Measure how one combination separates every set of labels, by set and sample: means over its trainings."""
    inputs = open_inputs(request)
    formulas, seeds = inputs.index["formula"].to_list(), inputs.seeds(name)
    vectors = {
        "all": [inputs.embeddings(name, seed)[CRYSTAL] for seed in seeds],
        "test": [inputs.test_embeddings(name, seed)[CRYSTAL] for seed in seeds],
    }
    model = seeds.index(inputs.runs[name]["seed"])
    results: dict[str, dict[str, Any]] = {}
    for label_set in LABEL_SETS:
        label = labels(label_set, formulas)
        sides = {"all": label, "test": label[inputs.test]}
        results[label_set] = {
            sample: _pooled(
                [
                    answer(partial(separation, request, of_training, sides[sample], jackknife=sample == "all"))
                    for of_training in vectors[sample]
                ],
                model,
            )
            for sample in SAMPLES
        }
    return results


def _pooled(separations: Sequence[dict[str, Any]], model: int) -> dict[str, Any]:
    """Put the trainings of a combination together.

    Args:
        separations: of each training; where there are too few materials, that is so for all of them.
        model: which of them is the combination's model, whose curve is drawn.

    Returns:
        Means; of the p-values the largest, for every training has to show a difference; ``overlap_areas`` of each.
    """
    if "unavailable" in separations[0]:
        return separations[0]
    left_out = [of["left_out"] for of in separations]
    return {
        **mean_of([{key: value for key, value in of.items() if key not in APART} for of in separations]),
        **{key: max(of[key] for of in separations) for key in ("p_pairs", "p_permutation")},
        "curve": separations[model]["curve"],
        "left_out": None if left_out[0] is None else np.mean(left_out, axis=0),
        "overlap_areas": [of["overlap_area"] for of in separations],
    }


def separation(
    request: Request, vectors: Vectors, label: npt.NDArray[np.float64], *, jackknife: bool
) -> dict[str, Any]:
    """Measure the overlap of the similarities among perovskites with those among the others.

    Args:
        request: says how finely.
        vectors: embeddings, shape (n, d), NaN rows where a material lacks the modality.
        label: 1, 0 or NaN, shape (n,).
        jackknife: whether to compute the standard error of the overlap.

    Raises:
        UnavailableError: if a side has too few materials.
    """
    settings, seed = request.settings, request.seed
    rows = np.isfinite(label) & present_rows(vectors)
    values, member = vectors[rows].astype(np.float64), label[rows] == 1
    counts = int(member.sum()), int((~member).sum())
    if min(counts) < MIN_MATERIALS:
        raise UnavailableError(
            f"{counts[0]} perovskites and {counts[1]} others are judged, expected at least {MIN_MATERIALS} of each"
        )
    within, rest = group_similarities(values, member, seed=seed)
    overlap = density_overlap(within, rest)
    difference = group_difference(values, member, n_permutations=settings.permutations, seed=seed)
    left_out = None
    if jackknife and min(counts) >= LEAST_FOR_JACKKNIFE:
        left_out = _leave_out(values, member, n_groups=settings.jackknife_groups, seed=seed)
    return {
        "n_perovskite": counts[0],
        "n_other": counts[1],
        "overlap_area": overlap.area,
        "ks_statistic": difference.statistic,
        "p_pairs": difference.p_pairs,
        "p_permutation": difference.p_permutation,
        "mean_cosine_perovskite": float(within.mean()),
        "mean_cosine_other": float(rest.mean()),
        "curve": _curve(overlap, settings.curve_points),
        "left_out": left_out,
    }


def assemble(inputs: Inputs, separated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of perovskites.json, of the separations by combination."""
    ids, formulas = inputs.index["material_id"].to_list(), inputs.index["formula"].to_list()
    results: dict[str, Any] = {
        label_set: {
            sample: {
                name: inputs.unavailable.get(name) or separated[name][label_set][sample]
                for name in inputs.all_with(CRYSTAL)
            }
            for sample in SAMPLES
        }
        for label_set in LABEL_SETS
    }
    paired = _by_sample(results, _with_and_without)
    return {
        "sets": {
            label_set: describe_set(label_set, material_ids=ids, formulas=formulas, split=inputs.split)
            for label_set in LABEL_SETS
        },
        "results": _by_sample(results, lambda by_name: {name: _plain(result) for name, result in by_name.items()}),
        "with_and_without_pxrd": paired,
        "mean_relative_without_pxrd": _by_sample(paired, _mean_relative),
        "paper": PAPER,
    }


def excerpt(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of metrics/latent.json."""
    kept = ("overlap_area", "ks_statistic", "p_permutation")
    return _by_sample(
        content["results"],
        lambda by_name: {
            name: {key: result[key] for key in kept} for name, result in by_name.items() if "unavailable" not in result
        },
    )


def _by_sample(sets: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        label_set: {sample: change(content) for sample, content in samples.items()}
        for label_set, samples in sets.items()
    }


def _leave_out(
    values: npt.NDArray[np.float64], member: npt.NDArray[np.bool_], *, n_groups: int, seed: int
) -> list[float]:
    """Return the overlap with each group of materials left out; the groups are the same for every combination."""
    order = np.random.default_rng(seed).permutation(len(member))
    areas = []
    for group in np.array_split(order, min(n_groups, len(order))):
        kept = np.ones(len(member), dtype=bool)
        kept[group] = False
        areas.append(density_overlap(*group_similarities(values[kept], member[kept], seed=seed)).area)
    return areas


def _curve(overlap: Overlap, n_points: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return the densities on fewer points than they were integrated on."""
    cosine = np.linspace(overlap.grid[0], overlap.grid[-1], n_points)
    densities = {"perovskite": overlap.first, "other": overlap.second}
    return {"cosine": cosine, **{side: np.interp(cosine, overlap.grid, values) for side, values in densities.items()}}


def _standard_error(left_out: Any, *trainings: Sequence[float]) -> float | None:
    """Return the standard error: by the delete-group jackknife over materials, and by the spread of trainings.

    Args:
        left_out: the figure without each group of materials.
        trainings: what it is with each training, of every model that it is made of.
    """
    if left_out is None:
        return None
    values = np.asarray(left_out)
    over_materials = (len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum()
    over_trainings = sum(np.var(of_model, ddof=1) / len(of_model) for of_model in trainings if len(of_model) > 1)
    return float(np.sqrt(over_materials + over_trainings))


def _plain(result: Mapping[str, Any]) -> dict[str, Any]:
    if "unavailable" in result:
        return dict(result)
    kept = {key: value for key, value in result.items() if key != "left_out"}
    return {**kept, "standard_error": _standard_error(result["left_out"], result["overlap_areas"])}


def _with_and_without(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in results:
        if PXRD in name.split("+"):
            continue
        partner = parse_combination(f"{name}+{PXRD}").name
        without, joined = results[name], results[partner]
        row: dict[str, Any] = {"without": name, "with": partner}
        reason = without.get("unavailable") or joined.get("unavailable")
        if reason:
            rows.append({**row, "unavailable": reason})
            continue
        areas = without["overlap_area"], joined["overlap_area"]
        both = without["left_out"] is not None and joined["left_out"] is not None
        left_out = np.subtract(without["left_out"], joined["left_out"]) if both else None
        row |= {
            "overlap_without": areas[0],
            "overlap_with": areas[1],
            "difference": areas[0] - areas[1],
            "relative": areas[0] / areas[1] - 1 if areas[1] > 0 else None,
            "difference_standard_error": _standard_error(left_out, without["overlap_areas"], joined["overlap_areas"]),
        }
        rows.append(row)
    return rows


def _mean_relative(rows: list[dict[str, Any]]) -> float | None:
    relative = [row["relative"] for row in rows if row.get("relative") is not None]
    return float(np.mean(relative)) if relative else None
