"""All combinations beside each other: metrics/comparison.json and the table of the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from matbind.base.errors import UserError
from matbind.evaluation.two_level import deviation
from matbind.modalities.combinations import Combination, all_combinations, pair_name, parse_combination
from matbind.modalities.table import structure_name

Results = Mapping[str, Mapping[str, Any]]  # a RetrievalResult as a dictionary, by the name of its pair

KINDS = ("aligned", "emergent", "view")
DECIMALS = 5  # of the figures that are committed; DVC prints as many

_DOCUMENT = """# Comparison of the combinations

Data {data}, code {code}. Retrieval on the test split by cosine similarity; ties count against the model. N is the size
of the gallery, chance is 1 / N.

## Retrieval between modalities

A pair is aligned if it includes the hub, emergent if it was never seen in training. Recall is the mean over ordered
pairs. {trainings}

| combination | hub | N | chance@1 | aligned recall@1 | @5 | best aligned | emergent recall@1 | @5 | best emergent |
|---|---|---|---|---|---|---|---|---|---|
{several}

{control}

## One modality alone

Two augmented views of the same material: another question than the one above, not to be compared with it.

| modality | N | chance@1 | recall@1 | 95 % interval | recall@5 | median rank | MRR |
|---|---|---|---|---|---|---|---|
{singles}
"""


def assemble_comparison(
    runs: Iterable[Mapping[str, Any]],
    *,
    baseline: Results,
    baseline_unmeasured: Mapping[str, str] = MappingProxyType({}),
    data_md5: str | None,
    git_commit: str | None,
) -> dict[str, Any]:
    """Put the metrics of all combinations into one document.

    Args:
        runs: one metrics file a combination: ``{"combination", "hub", "run_id", "seed", "seeds", "pairs", "fused",
            "control", "trainings"}``, or ``{"combination", "error"}`` if its training failed.
        baseline: results of the linear baseline by the name of the pair.
        baseline_unmeasured: why it has none of a pair, by the name of the pair.
        data_md5: DVC's checksum of the data, None outside a DVC project.
        git_commit: of the code, None outside a repository.

    Returns:
        The content of metrics/comparison.json, combinations in their canonical order:
        ``combinations`` (hub, run_id, seed, seeds and pairs, or error), ``baseline`` and ``baseline_unmeasured``,
        ``fused`` and ``control`` by combination, ``summary`` (see `summarise_pairs`), ``data_md5`` and ``git_commit``.

    Raises:
        UserError: if a combination is unknown or comes twice, or a pair was measured on galleries of different sizes,
            as happens when the metrics of an older test split are still there.
    """
    by_name = _by_name(runs)
    _require_same_galleries({name: run.get("pairs", {}) for name, run in by_name.items()} | {"baseline": baseline})
    trained = {name: run for name, run in by_name.items() if "error" not in run}
    return {
        "combinations": {name: _entry(run) for name, run in by_name.items()},
        "baseline": dict(baseline),
        "baseline_unmeasured": dict(baseline_unmeasured),
        "fused": {name: run["fused"] for name, run in trained.items() if run.get("fused")},
        "control": {name: run["control"] for name, run in trained.items() if run.get("control")},
        "summary": {
            "combinations": {name: _summarise_trainings(run) for name, run in trained.items()},
            "baseline": summarise_pairs(baseline),
            "best": {kind: _best_of_all(trained, kind) for kind in KINDS},
            "failed": [name for name in by_name if name not in trained],
        },
        "data_md5": data_md5,
        "git_commit": git_commit,
    }


def summarise_pairs(pairs: Results) -> dict[str, dict[str, Any] | None]:
    """Summarise the pairs of one model in few numbers.

    Returns:
        For each kind of pair, None if there is no such pair, else ``best_pair`` (by recall@1), ``best_recall_at_1``,
        and the means over pairs ``mean_recall_at_1``, ``mean_recall_at_5`` and ``mean_chance_at_1``.
    """
    return {kind: _summary({name: r for name, r in pairs.items() if r["kind"] == kind}) for kind in KINDS}


def _summarise_trainings(run: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Summarise the means of a combination's pairs over its trainings, and how the trainings spread about them.

    Returns:
        As `summarise_pairs`, with ``mean_recall_at_1_sd`` of several trainings: the standard deviation of the mean.
    """
    summary = summarise_pairs(run["pairs"])
    trainings = [summarise_pairs(training["pairs"]) for training in run["trainings"]]
    for kind, means in summary.items():
        if means and len(trainings) > 1:
            recalls = [float((of_training[kind] or {})["mean_recall_at_1"]) for of_training in trainings]
            means["mean_recall_at_1_sd"] = deviation(np.array(recalls))
    return summary


def recall_by_combination(comparison: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the means of recall@1 over the pairs of each kind: ``{"crystal+dos": {"aligned": 0.48665}, ...}``.

    Of several trainings there is ``aligned_sd`` too, the standard deviation over them.
    """
    recall: dict[str, dict[str, float]] = {}
    for name, by_kind in comparison["summary"]["combinations"].items():
        present = {kind: means for kind, means in by_kind.items() if means}
        figures = {kind: means["mean_recall_at_1"] for kind, means in present.items()}
        spreads = {f"{kind}_sd": means.get("mean_recall_at_1_sd") for kind, means in present.items()}
        recall[name] = {key: round(value, DECIMALS) for key, value in (figures | spreads).items() if value is not None}
    return recall


def recall_of_all(recall: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Average what `recall_by_combination` returned over the combinations: ``{"aligned": 0.58615, ...}``."""
    by_kind = {kind: [means[kind] for means in recall.values() if kind in means] for kind in KINDS}
    return {kind: round(sum(means) / len(means), DECIMALS) for kind, means in by_kind.items() if means}


def to_markdown(comparison: Mapping[str, Any]) -> str:
    """Return the comparison as the tables of reports/comparison.md.

    Args:
        comparison: what `assemble_comparison` returned, or its JSON read back.

    Returns:
        A Markdown document: combinations of several modalities with the baseline last, then the singles.
    """
    several: list[str] = []
    singles: list[str] = []
    for name, entry in comparison["combinations"].items():
        single = parse_combination(name).is_single
        if "error" in entry:
            row = _failed_row(name, entry["error"], n_columns=8 if single else 10)
        elif single:
            row = _single_row(name, entry["pairs"])
        else:
            row = _row(name, entry["hub"], entry["pairs"], comparison["summary"]["combinations"][name])
        (singles if single else several).append(row)
    if comparison["baseline"]:
        summary = comparison["summary"]["baseline"]
        several.append(_row("*linear baseline*", structure_name(), comparison["baseline"], summary))
    return _DOCUMENT.format(
        data=comparison["data_md5"] or "outside DVC",
        code=comparison["git_commit"] or "outside Git",
        several="\n".join(several),
        control=_control_line(comparison["control"]),
        trainings=intervals_over(entry.get("seeds", ()) for entry in comparison["combinations"].values()),
        singles="\n".join(singles),
    )


def intervals_over(seeds: Iterable[Sequence[int]]) -> str:
    """Say what recalls are means of and what their intervals are over, from the seeds of every combination."""
    most = max(seeds, key=len, default=())
    if len(most) <= 1:
        return "One training each: intervals are over test materials only."
    return f"Recall is the mean of {len(most)} trainings each; intervals are over trainings and test materials."


def _by_name(runs: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    by_combination: dict[Combination, Mapping[str, Any]] = {}
    for run in runs:
        try:
            combination = parse_combination(run["combination"])
        except ValueError as error:
            raise UserError(f"metrics of {run['combination']!r}: {error}") from error
        if combination in by_combination:
            raise UserError(f"metrics of {combination.name}: found twice, expected once")
        by_combination[combination] = run
    return {
        combination.name: by_combination[combination]
        for combination in all_combinations()
        if combination in by_combination
    }


def _require_same_galleries(results: Mapping[str, Results]) -> None:
    """Check that a pair was measured on as many materials everywhere: recall depends on the size of the gallery."""
    first: dict[str, tuple[str, int]] = {}
    for name, pair, result in _pairs(results):
        reference, n = first.setdefault(pair, (name, result["n"]))
        if result["n"] != n:
            raise UserError(
                f"metrics of {name}: {pair} was measured on {result['n']} materials, expected {n} as in {reference}; "
                "evaluate both on the same test split"
            )


def _pairs(results: Mapping[str, Results]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, pairs in results.items():
        for pair, result in pairs.items():
            yield name, pair, result


def _entry(run: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("error", "hub", "run_id") if "error" in run else ("hub", "run_id", "seed", "seeds", "pairs")
    return {key: run[key] for key in keys if key in run}


def _best_of_all(trained: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Any] | None:
    every = _pairs({name: run["pairs"] for name, run in trained.items()})
    results = [
        {"combination": name, "pair": pair, "recall_at_1": result["recall_at_1"]}
        for name, pair, result in every
        if result["kind"] == kind
    ]
    return max(results, key=lambda result: float(result["recall_at_1"]), default=None)


def _summary(results: Results) -> dict[str, Any] | None:
    if not results:
        return None
    best = max(results, key=lambda name: float(results[name]["recall_at_1"]))
    means = {
        f"mean_{metric}": float(sum(result[metric] for result in results.values()) / len(results))
        for metric in ("recall_at_1", "recall_at_5", "chance_at_1")
    }
    return {"best_pair": best, "best_recall_at_1": results[best]["recall_at_1"], **means}


def _row(name: str, hub: str, pairs: Results, summary: Mapping[str, Any]) -> str:
    cells = [name, hub, _span(pairs, "n", ""), _span(pairs, "chance_at_1", ".4f")]
    for kind in ("aligned", "emergent"):
        if means := summary[kind]:
            cells += [f"{means['mean_recall_at_1']:.3f}", f"{means['mean_recall_at_5']:.3f}"]
            cells.append(f"{means['best_pair']} {means['best_recall_at_1']:.3f}")
        else:
            cells += ["-"] * 3
    return "| " + " | ".join(cells) + " |"


def _single_row(name: str, pairs: Results) -> str:
    result = pairs.get(pair_name(name, name))
    if result is None:
        return f"| {name} |" + " - |" * 7
    low, high = result["recall_at_1_ci95"]
    return (
        f"| {name} | {result['n']} | {result['chance_at_1']:.4f} | {result['recall_at_1']:.3f} "
        f"| {low:.3f} to {high:.3f} | {result['recall_at_5']:.3f} | {result['median_rank']:g} | {result['mrr']:.3f} |"
    )


def _failed_row(name: str, error: str, *, n_columns: int) -> str:
    reason = " ".join(str(error).replace("|", "/").split())  # neither a bar nor a line break may end the cell
    return f"| {name} | failed: {reason} |" + " |" * (n_columns - 2)


def _control_line(control: Mapping[str, Results]) -> str:
    results = [result for _, _, result in _pairs(control)]
    if not results:
        return "No control with shuffled keys was made."
    recall, chance = (
        sum(result[metric] for result in results) / len(results) for metric in ("recall_at_1", "chance_at_1")
    )
    return (
        f"Control: with the keys shuffled, recall@1 is {recall:.4f} on average over {len(results)} pairs, "
        f"where chance is {chance:.4f}."
    )


def _span(pairs: Results, metric: str, form: str) -> str:
    """Return the values of the pairs, as ``smallest to largest`` where they differ."""
    values = sorted({result[metric] for result in pairs.values()})
    return " to ".join(format(value, form) for value in dict.fromkeys([values[0], values[-1]])) if values else "-"
