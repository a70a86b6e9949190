"""The top of the page: key figures, and five sentences made from the numbers, which say so where there are none."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from matbind.report import geometry, helping, perovskites, probes, retrieval
from matbind.report.inputs import Content, Inputs, available, bounds, reason
from matbind.report.words import DASH, capital, listing, p_value, phrase, readable, share, signed, span, state

PAPER_BEST = {"aligned": 0.97, "emergent": 0.731}  # Mirza et al. 2025, Figure 2


def headline(inputs: Inputs) -> list[tuple[str, str, str]]:
    """Return label, value and a note of the key figures: best pairs, largest Shapley value, size of the gallery."""
    figures = []
    for kind, paper in PAPER_BEST.items():
        best = retrieval.best(inputs, kind)
        if best is not None:
            name, pair, result = best
            ends = bounds(result, "recall_at_1_ci95")
            note = phrase("summary.best_pair", pair=pair, name=name, ends=ends, paper=paper)
            figures.append((f"best {kind} recall@1", share(result["recall_at_1"]), note))
    shares = ranked(inputs)
    if shares:
        note = phrase("summary.largest_share", first=shares[0])
        figures.append(("largest Shapley value", signed(shares[0]["value"]), note))
    sizes = retrieval.galleries(inputs)
    if sizes:
        note = phrase("summary.gallery", chance=retrieval.chance_levels(inputs))
        figures.append(("gallery N", span(sizes).replace(" to ", DASH), note))
    return figures


def summary(inputs: Inputs) -> dict[str, str]:
    """Return one sentence a topic."""
    return {
        "What adds most": helps_most(inputs),
        "How sure that is": how_sure(inputs),
        "What it costs other pairs": does_not_help(inputs),
        "What the latent space knows": knows(inputs),
        "What to be careful about": careful(inputs),
    }


def ranked(inputs: Inputs) -> list[dict[str, Any]]:
    """Return name, value and interval of the Shapley values of retrieval, largest first, if there are any."""
    values = available(inputs.answers["helping"].get("shapley")).get("retrieval", {}).get("values") or {}
    shares = [{"name": name, "value": result["value"], **bounds(result)} for name, result in values.items()]
    return sorted(shares, key=lambda share: -share["value"])


def helps_most(inputs: Inputs) -> str:
    """Say it from Shapley values; where combinations are missing, from their bounds or from single additions."""
    shares = ranked(inputs)
    if shares:
        first = shares[0]
        if first["value"] <= 0 or (first["low"] is not None and first["low"] <= 0):
            return phrase("summary.no_share", first=first)
        rest = ", ".join(f"{other['name']} {signed(other['value'])}" for other in shares[1:])
        return phrase("summary.first_share", first=first, rest=f", before {rest}" if rest else "")
    content = inputs.answers["helping"]
    why = reason(content)
    means = {} if why else helping.mean_changes(content)
    if means:
        name, change = max(means.items(), key=lambda item: item[1]["mean_change"])
        changes = phrase("summary.changes", change=change)
        return phrase(
            "summary.best_addition" if change["better"] else "summary.no_addition", name=name, changes=changes
        )
    why = why or reason(content["shapley"].get("retrieval")) or "too few combinations are trained to compare them"
    return f"Which modality helps most cannot be said: {why.rstrip('.')}."


def how_sure(inputs: Inputs) -> str:
    """Say whether the first place is clear, and how many of the single additions are."""
    shares = ranked(inputs)
    parts = []
    if len(shares) > 1 and shares[0]["low"] is not None and shares[1]["high"] is not None:
        verdict = "clear" if shares[0]["low"] > shares[1]["high"] else "unclear"
        parts.append(phrase(f"summary.{verdict}_place", first=shares[0], second=shares[1]))
    changes = helping.pair_changes(inputs.answers["helping"].get("changes", []))
    if changes:
        parts.append(phrase("summary.additions", n=len(changes), states=helping.count_states(changes)))
    if not parts:
        best = retrieval.best(inputs, "aligned") or retrieval.best(inputs, "view")
        if best is None:
            return "How sure anything is cannot be said: no combination was evaluated."
        name, pair, result = best
        parts.append(phrase("summary.one_pair", name=name, pair=pair, ends=bounds(result, "recall_at_1_ci95")))
    sizes = retrieval.galleries(inputs)
    where = f" (N = {span(sizes)} test materials, chance {retrieval.chance_levels(inputs)})" if sizes else ""
    return f"{capital('; '.join(parts))}{where}."


def does_not_help(inputs: Inputs) -> str:
    """Name the modalities whose addition lowers more answers than it raises, or raises none."""
    content = inputs.answers["helping"]
    why = reason(content)
    means = {} if why else helping.mean_changes(content)
    if not means:
        why = why or "no two trained combinations differ by one modality alone"
        return f"What does not help cannot be said: {why.rstrip('.')}."
    hurting = {name: change for name, change in means.items() if change["worse"] > change["better"]}
    idle = [name for name, change in means.items() if change["better"] == 0 and name not in hurting]
    falls = sorted(hurting.items(), key=lambda item: item[1]["mean_change"])
    parts = []
    if falls:
        names = [phrase("summary.fall", name=name, change=change) for name, change in falls]
        parts.append(phrase("summary.falls", names=names))
    if idle:
        parts.append(f"adding {listing(idle)} raises no recall beyond doubt")
    if parts:
        return f"{capital('; '.join(parts))}."
    name, change = max(means.items(), key=lambda item: item[1]["worse"] / item[1]["n"])
    return phrase("summary.rarely_lower" if change["worse"] else "summary.never_lower", name=name, change=change)


def knows(inputs: Inputs) -> str:
    """Say what probes of the largest combination read beyond the composition, and how it separates perovskites."""
    content, largest = inputs.answers["probes"], inputs.largest()
    results = probes.gains(content, largest)
    targets: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for target, result in results.items():
        targets[state(bounds(result, "gain_over_composition_ci95"))].append(target)
    worse, unclear = (listing(readable(target) for target in targets[name]) for name in ("worse", "unclear"))
    parts = []
    if targets["better"]:
        units = {target: content["targets"][target]["unit"] for target in targets["better"]}
        gains = [f"{readable(target)} ({_gain(results[target], unit)})" for target, unit in units.items()]
        parts.append(f"beyond the composition, {largest} tells {listing(gains)}")
    elif results:
        parts.append(f"probes of {largest} read no property better than the composition alone does")
    if worse:
        parts.append(f"it tells less than the composition of {worse}")
    if unclear and targets["better"]:
        parts.append(f"no clear gain for {unclear}")
    parts += _separation(inputs.answers["perovskites"])
    if not parts:
        why = reason(content) or f"no probe of {largest or 'any combination'} is available"
        return f"What the latent space knows cannot be said: {why.rstrip('.')}."
    return f"{capital('; '.join(parts))}."


def careful(inputs: Inputs) -> str:
    """Say what the intervals do not hold, what is missing, and how large the gallery is."""
    seeds = inputs.seeds()
    parts = [phrase("summary.trained_once", seed=(seeds or [inputs.seed])[0])]
    if len(seeds) > 1:
        parts = [phrase("summary.trained_often", n=len(seeds), seeds=[*map(str, seeds)])]
    sizes, paper = retrieval.galleries(inputs), inputs.answers["gallery"].get("paper_gallery_size")
    if sizes and paper and paper > max(sizes):
        parts.append(phrase("summary.smaller_gallery", ratio=paper / max(sizes)))
    missing = {name for name, entry in inputs.comparison["combinations"].items() if "error" in entry}
    missing |= {name for name, run in inputs.answers["index"].get("combinations", {}).items() if reason(run)}
    warnings = geometry.alarms(inputs.answers["geometry"])
    parts += _counted("missing", missing) + _counted("alarms", warnings)
    chosen = perovskites.choose(inputs.answers["perovskites"])
    if chosen and chosen[0] != perovskites.PAPER_SET:
        parts.append("too few of the paper's perovskites are here, another set stands in")
    return f"{capital('; '.join(parts))}."


def _counted(key: str, things: Sized) -> list[str]:
    return [phrase(f"summary.{key}", n=len(things), verb="is" if len(things) == 1 else "are")] if things else []


def _gain(result: Content, unit: str) -> str:
    gain = share(abs(result["gain_over_composition"]))
    return f"accuracy {gain} higher" if result["metric"] == "accuracy" else f"error {gain} {unit} smaller"


def _separation(content: Content) -> list[str]:
    chosen = perovskites.choose(content)
    if chosen is None:
        return []
    results = available(content["results"][chosen[0]][chosen[1]])
    name = min(results, key=lambda key: results[key]["overlap_area"])
    permutation = results[name]["p_permutation"]
    chance = "" if permutation is None else f", {p_value(permutation)}"
    return [phrase("summary.separation", name=name, result=results[name], chance=chance)]
