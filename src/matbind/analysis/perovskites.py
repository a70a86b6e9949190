"""Figures 3 and 7: how perovskites lie among other ABX3 compounds in the crystal embedding, with and without pXRD."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, answer, open_inputs
from matbind.analysis.labels import LABEL_SETS, describe_set, labels
from matbind.analysis.measures.latent import (
    MIN_MATERIALS,
    Overlap,
    density_overlap,
    group_difference,
    group_similarities,
)
from matbind.analysis.measures.unavailable import UnavailableError
from matbind.analysis.task import Task
from matbind.evaluation.vectors import held_rows
from matbind.modalities.combinations import parse_combination

CRYSTAL, PXRD = "crystal", "pxrd"
SAMPLES = ("all", "test")
LEAST_FOR_JACKKNIFE = 10  # materials of each side: leaving a group out must leave the density its shape
PAPER = {"relative_without_pxrd": 0.14}

Vectors = npt.NDArray[np.floating[Any]]


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination with crystal."""
    return [Task(name, partial(separations, inputs.request, name)) for name in inputs.with_modality(CRYSTAL)]


def separations(request: Request, name: str) -> dict[str, dict[str, Any]]:
    """How one combination separates every set of labels, by set and sample."""
    inputs = open_inputs(request)
    formulas = inputs.index["formula"].to_list()
    everything = inputs.embeddings(name)[CRYSTAL]
    vectors = {"all": everything, "test": inputs.test_embeddings(name)[CRYSTAL]}
    found: dict[str, dict[str, Any]] = {}
    for each in LABEL_SETS:
        label = labels(each, formulas)
        sides = {"all": label, "test": label[inputs.test]}
        found[each] = {
            sample: answer(partial(separation, request, vectors[sample], sides[sample], jackknife=sample == "all"))
            for sample in SAMPLES
        }
    return found


def separation(
    request: Request, vectors: Vectors, label: npt.NDArray[np.float64], *, jackknife: bool
) -> dict[str, Any]:
    """Overlap of the similarities among perovskites with those among the others.

    Args:
        request: says how finely.
        vectors: embeddings, shape (n, d), NaN rows where a material lacks the modality.
        label: 1, 0 or NaN, shape (n,).
        jackknife: whether to find the standard error of the overlap.

    Raises:
        UnavailableError: if a side has too few materials.
    """
    own, seed = request.settings, request.seed
    rows = np.isfinite(label) & held_rows(vectors)
    values, member = vectors[rows].astype(np.float64), label[rows] == 1
    counts = int(member.sum()), int((~member).sum())
    if min(counts) < MIN_MATERIALS:
        raise UnavailableError(
            f"{counts[0]} perovskites and {counts[1]} others are judged, expected at least {MIN_MATERIALS} of each"
        )
    cosines = group_similarities(values, member, seed=seed)
    overlap = density_overlap(cosines.within, cosines.rest)
    difference = group_difference(values, member, n_permutations=own.permutations, seed=seed)
    left_out = None
    if jackknife and min(counts) >= LEAST_FOR_JACKKNIFE:
        left_out = _leave_out(values, member, n_groups=own.jackknife_groups, seed=seed)
    return {
        "n_perovskite": counts[0],
        "n_other": counts[1],
        "overlap_area": overlap.area,
        "ks_statistic": difference.statistic,
        "p_pairs": difference.p_pairs,
        "p_permutation": difference.p_permutation,
        "mean_cosine_perovskite": float(cosines.within.mean()),
        "mean_cosine_other": float(cosines.rest.mean()),
        "curve": _curve(overlap, own.curve_points),
        "left_out": left_out,
    }


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of perovskites.json, of what the tasks found by combination."""
    index = inputs.index
    told = {"material_ids": index["material_id"].to_list(), "formulas": index["formula"].to_list()}
    names = inputs.all_with(CRYSTAL)
    missing = inputs.unavailable
    results: dict[str, Any] = {
        each: {sample: {name: missing.get(name) or found[name][each][sample] for name in names} for sample in SAMPLES}
        for each in LABEL_SETS
    }
    paired = {each: {s: _with_and_without(results[each][s]) for s in SAMPLES} for each in LABEL_SETS}
    for each in LABEL_SETS:
        for sample in SAMPLES:
            results[each][sample] = {name: _told(r) for name, r in results[each][sample].items()}
    return {
        "sets": {each: describe_set(each, split=inputs.split, **told) for each in LABEL_SETS},
        "results": results,
        "with_and_without_pxrd": paired,
        "mean_relative_without_pxrd": {each: {s: _mean_relative(paired[each][s]) for s in SAMPLES} for each in paired},
        "paper": PAPER,
    }


def excerpt(content: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of metrics/latent.json."""
    kept = ("overlap_area", "ks_statistic", "p_permutation")
    return {
        each: {
            sample: {name: {key: r[key] for key in kept} for name, r in found.items() if "unavailable" not in r}
            for sample, found in samples.items()
        }
        for each, samples in content["results"].items()
    }


def _leave_out(
    values: npt.NDArray[np.float64], member: npt.NDArray[np.bool_], *, n_groups: int, seed: int
) -> list[float]:
    """The overlap with each group of materials left out; the groups are the same for every combination."""
    order = np.random.default_rng(seed).permutation(len(member))
    areas = []
    for group in np.array_split(order, min(n_groups, len(order))):
        kept = np.ones(len(member), dtype=bool)
        kept[group] = False
        cosines = group_similarities(values[kept], member[kept], seed=seed)
        areas.append(density_overlap(cosines.within, cosines.rest).area)
    return areas


def _curve(overlap: Overlap, n_points: int) -> dict[str, npt.NDArray[np.float64]]:
    """The densities on fewer points than they were integrated on."""
    cosine = np.linspace(overlap.grid[0], overlap.grid[-1], n_points)
    densities = {"perovskite": overlap.density_a, "other": overlap.density_b}
    return {"cosine": cosine, **{side: np.interp(cosine, overlap.grid, values) for side, values in densities.items()}}


def _standard_error(left_out: Any) -> float | None:
    """Delete-group jackknife."""
    if left_out is None:
        return None
    values = np.asarray(left_out)
    return float(np.sqrt((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum()))


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    if "unavailable" in result:
        return dict(result)
    kept = {key: value for key, value in result.items() if key != "left_out"}
    return {**kept, "standard_error": _standard_error(result["left_out"])}


def _with_and_without(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, without in results.items():
        if PXRD in name.split("+"):
            continue
        partner = parse_combination(f"{name}+{PXRD}").name
        there = results[partner]
        row: dict[str, Any] = {"without": name, "with": partner}
        reason = without.get("unavailable") or there.get("unavailable")
        if reason:
            rows.append({**row, "unavailable": reason})
            continue
        a, b = without["overlap_area"], there["overlap_area"]
        both = without["left_out"] is not None and there["left_out"] is not None
        left_out = np.subtract(without["left_out"], there["left_out"]) if both else None
        row |= {"overlap_without": a, "overlap_with": b, "difference": a - b, "relative": a / b - 1 if b > 0 else None}
        rows.append({**row, "difference_standard_error": _standard_error(left_out)})
    return rows


def _mean_relative(rows: list[dict[str, Any]]) -> float | None:
    found = [row["relative"] for row in rows if row.get("relative") is not None]
    return float(np.mean(found)) if found else None
