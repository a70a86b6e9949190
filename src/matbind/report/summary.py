"""The top of the page: key figures, and five sentences made from the numbers, which say so where there are none."""

from __future__ import annotations

from typing import Any, NamedTuple

from matbind.report import geometry, helping, perovskites, probes, retrieval
from matbind.report.inputs import Content, Inputs, available, bounds, reason
from matbind.report.words import (
    DASH,
    arrow,
    capital,
    counted,
    interval,
    listing,
    p_value,
    readable,
    share,
    signed,
    span,
    state,
)

PAPER_BEST = {"aligned": 0.97, "emergent": 0.731}  # Mirza et al. 2025, Figure 2


class Share(NamedTuple):
    """Shapley value of a modality, and its interval if there is one."""

    name: str
    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> str:
        """The interval in words."""
        return f"95 % interval {interval(self._asdict())}"


def headline(inputs: Inputs) -> list[tuple[str, str, str]]:
    """Return label, value and a note of the key figures: best pairs, largest Shapley value, size of the gallery."""
    figures = []
    for kind, paper in PAPER_BEST.items():
        best = retrieval.best(inputs, kind)
        if best is not None:
            name, pair, result = best
            ends = interval(bounds(result, "recall_at_1_ci95"))
            note = f"{arrow(pair)} of {name}; 95 % interval {ends}. The paper's best: {paper:g}, in a larger gallery"
            figures.append((f"best {kind} recall@1", share(result["recall_at_1"]), note))
    for first in ranked(inputs)[:1]:
        note = f"{first.name}; {first.ends} of the mean recall@1"
        figures.append(("largest Shapley value", signed(first.value), note))
    sizes = retrieval.galleries(inputs)
    if sizes:
        note = f"materials of the test split; chance of recall@1 is {retrieval.chance_levels(inputs)}"
        figures.append(("gallery N", span(sizes).replace(" to ", DASH), note))
    return figures


def summary(inputs: Inputs) -> dict[str, str]:
    """Return one sentence a topic."""
    return {
        "What helps most": helps_most(inputs),
        "How sure that is": how_sure(inputs),
        "What does not help": does_not_help(inputs),
        "What the latent space knows": knows(inputs),
        "What to be careful about": careful(inputs),
    }


def ranked(inputs: Inputs) -> list[Share]:
    """Return the Shapley values of retrieval, largest first; none where there are no values."""
    values = available(inputs.answers["helping"].get("shapley")).get("retrieval", {}).get("values") or {}
    shares = [Share(name, result["value"], **bounds(result)) for name, result in values.items()]
    return sorted(shares, key=lambda share: -share.value)


def helps_most(inputs: Inputs) -> str:
    """Say it from Shapley values; where combinations are missing, from their bounds or from single additions."""
    order = ranked(inputs)
    if order:
        first = order[0]
        value = f"Shapley value {signed(first.value)}, {first.ends}"
        if first.value <= 0 or (first.low is not None and first.low <= 0):
            return (
                f"No modality is shown to help retrieval: the largest share, that of {first.name} ({value}), does not "
                "exclude zero."
            )
        rest = ", ".join(f"{other.name} {signed(other.value)}" for other in order[1:])
        return (
            f"{capital(first.name)} adds most to what can be retrieved ({value}, of the mean recall@1 over all pairs)"
            f"{f', before {rest}' if rest else ''}."
        )
    content = inputs.answers["helping"]
    why = reason(content)
    means = {} if why else helping.mean_changes(content)
    if means:
        name, change = max(means.items(), key=lambda item: item[1]["mean_change"])
        text = (
            f"recall@1 changes by {signed(change['mean_change'])} on average over {counted(change['n'], 'comparison')} "
            f"when it is added, and rises clearly in {change['better']}"
        )
        if change["better"] == 0:
            return f"No modality is shown to help retrieval; the best of them is {name}: {text}."
        return f"{capital(name)} seems to help retrieval most: {text}."
    why = why or reason(content["shapley"].get("retrieval")) or "too few combinations are trained to compare them"
    return f"Which modality helps most cannot be said: {why.rstrip('.')}."


def how_sure(inputs: Inputs) -> str:
    """Say whether the first place is clear, and how many of the single additions are."""
    order = ranked(inputs)
    parts = []
    if len(order) > 1 and order[0].low is not None and order[1].high is not None:
        clear = order[0].low > order[1].high
        verdict = "do not overlap: its first place is clear" if clear else "overlap: its first place is not clear"
        parts.append(f"the intervals of {order[0].name} and of the next, {order[1].name}, {verdict}")
    changes = helping.pair_changes(inputs.answers["helping"].get("changes", []))
    if changes:
        states = helping.count_states(changes)
        parts.append(
            f"where a pair was answered already, {states['better']} of {counted(len(changes), 'addition')} of a "
            f"modality raise its recall@1 beyond doubt, {states['worse']} lower it and {states['unclear']} "
            "decide nothing"
        )
    if not parts:
        best = retrieval.best(inputs, "aligned") or retrieval.best(inputs, "view")
        if best is None:
            return "How sure anything is cannot be said: no combination was evaluated."
        name, pair, result = best
        ends = interval(bounds(result, "recall_at_1_ci95"))
        parts.append(f"modalities cannot be compared; recall@1 of {arrow(pair)} in {name} has the 95 % interval {ends}")
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
    falls = [
        f"{name} (lower in {change['worse']} of {change['n']}, higher in {change['better']}, "
        f"mean {signed(change['mean_change'])})"
        for name, change in sorted(hurting.items(), key=lambda item: item[1]["mean_change"])
    ]
    parts = []
    if falls:
        parts.append(f"recall@1 of pairs answered already falls more often than it rises on adding {listing(falls)}")
    if idle:
        parts.append(f"adding {listing(idle)} raises no recall beyond doubt")
    if parts:
        return f"{capital('; '.join(parts))}."
    name, change = max(means.items(), key=lambda item: item[1]["worse"] / item[1]["n"])
    if change["worse"] == 0:
        return "No addition of a modality clearly lowers any recall."
    return (
        f"No modality lowers more answers than it raises; {name} lowers most often, in {change['worse']} of "
        f"{counted(change['n'], 'comparison')}, and raises {change['better']}."
    )


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
        gains = [
            f"{readable(target)} ({_gain(results[target], content['targets'][target]['unit'])})"
            for target in targets["better"]
        ]
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
    trained_once = f"intervals resample the test materials of one training each (seed {inputs.seed})"
    parts = [f"{trained_once}, and do not hold what another training would change"]
    sizes, paper = retrieval.galleries(inputs), inputs.answers["gallery"].get("paper_gallery_size")
    if sizes and paper and paper > max(sizes):
        parts.append(
            f"the gallery is {paper / max(sizes):.0f} times smaller than the paper's, which makes recall easier here"
        )
    missing = {name for name, entry in inputs.comparison["combinations"].items() if "error" in entry}
    missing |= {name for name, run in inputs.answers["index"].get("combinations", {}).items() if reason(run)}
    if missing:
        parts.append(f"{counted(len(missing), 'combination')} {_are(missing)} missing")
    warnings = geometry.alarms(inputs.answers["geometry"])
    if warnings:
        parts.append(f"{counted(len(warnings), 'alarm')} of a collapsing embedding {_are(warnings)} raised")
    chosen = perovskites.choose(inputs.answers["perovskites"])
    if chosen and chosen[0] != perovskites.PAPER_SET:
        parts.append("too few of the paper's perovskites are here, another set stands in")
    return f"{capital('; '.join(parts))}."


def _are(things: Any) -> str:
    return "is" if len(things) == 1 else "are"


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
    area = share(results[name]["overlap_area"])
    return [f"perovskites overlap least with other ABX3 compounds in {name} (overlap area {area}{chance})"]
