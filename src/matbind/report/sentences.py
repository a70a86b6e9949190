"""The summary: five sentences, every one made from the numbers, and each saying so where there are none."""

from __future__ import annotations

from typing import Any, NamedTuple

from matbind.report import geometry, paint, perovskites, probes, retrieval
from matbind.report.helping import pair_changes
from matbind.report.inputs import Inputs, available, reason
from matbind.report.words import arrow, capital, counted, interval, listing, p_value, readable, share, signed, span


class Sentence(NamedTuple):
    """A sentence of the summary, and what it answers."""

    topic: str
    text: str


def summary(inputs: Inputs) -> list[Sentence]:
    """Which modality helps most, how sure that is, what does not help, what is known, what to be careful about."""
    return [
        Sentence("What helps most", helps_most(inputs)),
        Sentence("How sure that is", how_sure(inputs)),
        Sentence("What does not help", does_not_help(inputs)),
        Sentence("What the latent space knows", knows(inputs)),
        Sentence("What to be careful about", careful(inputs)),
    ]


def ranked(inputs: Inputs) -> list[tuple[str, float, float | None, float | None]]:
    """Modality, Shapley value of retrieval and its interval, largest first; empty where there are no values."""
    found = inputs.answers["helping"]
    retrieval_share = {} if reason(found) else found["shapley"].get("retrieval")
    values = {} if reason(retrieval_share) else retrieval_share.get("values") or {}
    told = [(name, each["value"], *(each.get("ci95") or (None, None))) for name, each in values.items()]
    return sorted(told, key=lambda each: -each[1])


def helps_most(inputs: Inputs) -> str:
    """From Shapley values; where combinations are missing, from their bounds or from single additions."""
    order = ranked(inputs)
    if order:
        name, value, low, high = order[0]
        bounds = f"Shapley value {signed(value)}, 95 % interval {interval((low, high))}"
        if value <= 0 or (low is not None and low <= 0):
            return (
                f"No modality is shown to help retrieval: the largest share, that of {name} ({bounds}), does not "
                "exclude zero."
            )
        rest = ", ".join(f"{other} {signed(each)}" for other, each, *_ in order[1:])
        return (
            f"{capital(name)} adds most to what can be retrieved ({bounds}, of the mean recall@1 over all pairs)"
            f"{f', before {rest}' if rest else ''}."
        )
    found = inputs.answers["helping"]
    why = reason(found)
    if why is not None:
        return f"Which modality helps most cannot be said: {why.rstrip('.')}."
    means = _mean_changes(found)
    if means:
        name, each = max(means.items(), key=lambda item: item[1]["mean_change"])
        told = (
            f"recall@1 changes by {signed(each['mean_change'])} on average over {counted(each['n'], 'comparison')} "
            f"when it is added, and rises clearly in {each['better']}"
        )
        start = "No modality is shown to help retrieval; the best of them is" if each["better"] == 0 else ""
        return f"{start} {name}: {told}.".strip() if start else f"{capital(name)} seems to help retrieval most: {told}."
    why = reason(found["shapley"].get("retrieval")) or "too few combinations are trained to compare them"
    return f"Which modality helps most cannot be said: {why.rstrip('.')}."


def how_sure(inputs: Inputs) -> str:
    """Whether the first place is clear, and how many of the single additions are."""
    sizes, order = retrieval.galleries(inputs), ranked(inputs)
    parts = []
    if len(order) > 1 and order[0][2] is not None and order[1][3] is not None:
        first, second = order[0], order[1]
        clear = first[2] > second[3]  # type: ignore[operator]
        told = "do not overlap: its first place is clear" if clear else "overlap: its first place is not clear"
        parts.append(f"the intervals of {first[0]} and of the next, {second[0]}, {told}")
    changes = pair_changes(inputs.answers["helping"])
    if changes:
        states = [paint.state(*(each.get("change_ci95") or (None, None))) for each in changes]
        parts.append(
            f"where a pair was answered already, {states.count('better')} of {counted(len(states), 'addition')} of a "
            f"modality raise its recall@1 beyond doubt, {states.count('worse')} lower it and {states.count('unclear')} "
            "decide nothing"
        )
    if not parts:
        best = retrieval.best(inputs, "aligned") or retrieval.best(inputs, "view")
        if best is None:
            return "How sure anything is cannot be said: no combination was evaluated."
        name, pair, result = best
        bounds = interval(result.get("recall_at_1_ci95"))
        parts.append(
            f"modalities cannot be compared; recall@1 of {arrow(pair)} in {name} has the 95 % interval {bounds}"
        )
    where = f" (N = {span(sizes)} test materials, chance {retrieval.chance_levels(inputs)})" if sizes else ""
    return f"{capital('; '.join(parts))}{where}."


def does_not_help(inputs: Inputs) -> str:
    """Modalities whose addition lowers more answers than it raises, or raises none."""
    found = inputs.answers["helping"]
    why = reason(found)
    if why is not None:
        return f"What does not help cannot be said: {why.rstrip('.')}."
    means = _mean_changes(found)
    if not means:
        return "What does not help cannot be said: no two trained combinations differ by one modality alone."
    hurting = {name: each for name, each in means.items() if each["worse"] > each["better"]}
    idle = [name for name, each in means.items() if each["better"] == 0 and name not in hurting]
    parts = [
        f"{name} (lower in {each['worse']} of {each['n']}, higher in {each['better']}, "
        f"mean {signed(each['mean_change'])})"
        for name, each in sorted(hurting.items(), key=lambda item: item[1]["mean_change"])
    ]
    start = "recall@1 of pairs answered already falls more often than it rises on adding"
    told = [f"{start} {listing(parts)}"] if parts else []
    if idle:
        told.append(f"adding {listing(idle)} raises no recall beyond doubt")
    if told:
        return f"{capital('; '.join(told))}."
    name, each = max(means.items(), key=lambda item: item[1]["worse"] / item[1]["n"])
    if each["worse"] == 0:
        return "No addition of a modality clearly lowers any recall."
    return (
        f"No modality lowers more answers than it raises; {name} lowers most often, in {each['worse']} of "
        f"{counted(each['n'], 'comparison')}, and raises {each['better']}."
    )


def knows(inputs: Inputs) -> str:
    """What the probes of the largest combination read beyond the composition, and how it separates perovskites."""
    results = probes.gains(inputs.answers["probes"], inputs.largest())
    sides: dict[str, list[str]] = {}
    for target, each in results.items():
        sides.setdefault(paint.state(*(each.get("gain_over_composition_ci95") or (None, None))), []).append(target)
    parts = []
    if sides.get("better"):
        units = inputs.answers["probes"]["targets"]
        told = [f"{readable(target)} ({_gain(results[target], units[target]['unit'])})" for target in sides["better"]]
        parts.append(f"beyond the composition, {inputs.largest()} tells {listing(told)}")
    elif results:
        parts.append(f"probes of {inputs.largest()} read no property better than the composition alone does")
    if sides.get("worse"):
        parts.append(f"it tells less than the composition of {listing(readable(each) for each in sides['worse'])}")
    if sides.get("unclear") and sides.get("better"):
        parts.append(f"no clear gain for {listing(readable(each) for each in sides['unclear'])}")
    parts += _separation(inputs)
    if not parts:
        why = reason(inputs.answers["probes"]) or f"no probe of {inputs.largest() or 'any combination'} is available"
        return f"What the latent space knows cannot be said: {why.rstrip('.')}."
    return f"{capital('; '.join(parts))}."


def careful(inputs: Inputs) -> str:
    """What the intervals do not hold, what is missing, and how large the gallery is."""
    trained_once = f"intervals resample the test materials of one training each (seed {inputs.seed})"
    parts = [f"{trained_once}, and do not hold what another training would change"]
    sizes, paper = retrieval.galleries(inputs), inputs.answers["gallery"].get("paper_gallery_size")
    if sizes and paper and paper > max(sizes):
        parts.append(
            f"the gallery is {paper / max(sizes):.0f} times smaller than the paper's, which makes recall easier here"
        )
    missing = [name for name, each in inputs.comparison["combinations"].items() if "error" in each]
    index = inputs.answers["index"]
    if reason(index) is None:
        missing += [name for name, each in index["combinations"].items() if reason(each) and name not in missing]
    if missing:
        parts.append(f"{counted(len(missing), 'combination')} {'is' if len(missing) == 1 else 'are'} missing")
    warned = geometry.alarms(inputs.answers["geometry"])
    if warned:
        verb = "is" if len(warned) == 1 else "are"
        parts.append(f"{counted(len(warned), 'alarm')} of a collapsing embedding {verb} raised")
    chosen = perovskites.choose(inputs.answers["perovskites"])
    if chosen and chosen[0] != perovskites.PAPER_SET:
        parts.append("too few of the paper's perovskites are here, another set stands in")
    return f"{capital('; '.join(parts))}."


def _mean_changes(found: Any) -> dict[str, Any]:
    return {name: each["pairs"] for name, each in found["summary"].items() if each["pairs"]["n"]}


def _gain(result: Any, unit: str) -> str:
    gain = share(abs(result["gain_over_composition"]))
    return f"accuracy {gain} higher" if result["metric"] == "accuracy" else f"error {gain} {unit} smaller"


def _separation(inputs: Inputs) -> list[str]:
    found = inputs.answers["perovskites"]
    chosen = perovskites.choose(found)
    if chosen is None:
        return []
    results = available(found["results"][chosen[0]][chosen[1]])
    name = min(results, key=lambda each: results[each]["overlap_area"])
    permutation = results[name]["p_permutation"]
    told = "" if permutation is None else f", {p_value(permutation)}"
    area = share(results[name]["overlap_area"])
    return [f"perovskites overlap least with other ABX3 compounds in {name} (overlap area {area}{told})"]
