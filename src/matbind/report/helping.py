"""Does a modality help: what each addition changes, Shapley values, what the crystal hub is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.modalities.table import modality_names
from matbind.report import paint
from matbind.report.blocks import Block, Cell, Notice, Plate, Section, Table, gaps, number
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import INK
from matbind.report.words import arrow, counted, interval, listing, readable, share, signed

PROBE = "probe "
LEAD = (
    "A modality is added to a combination that lacks it, and the same questions are asked of both models. Shapley "
    "values share what all modalities reach together fairly among them, over all orders of adding them."
)
RULE = "Intervals are 95 %, of resampled test materials, paired; an interval that includes 0 decides nothing."


def section(inputs: Inputs) -> Section:
    """Changes, Shapley values and the worth of the hub."""
    found = inputs.answers["helping"]
    title = "Which modalities help?"
    why = reason(found)
    if why is not None:
        return Section("helping", title, LEAD, [Notice("Contributions", why)])
    blocks: list[Block] = [*_shapley(found), *_changes(found), *_hub(found)]
    if found["changes"]:
        blocks.append(_table(found["changes"]))
    return Section("helping", title, LEAD, blocks)


def pair_changes(found: Content) -> list[Content]:
    """Changes of retrieval, without those of probes."""
    return [each for each in found.get("changes", []) if not each["question"].startswith(PROBE)]


def change_rows(changes: Sequence[Content]) -> list[dict[str, Any]]:
    """One row a change, the interval in two columns."""
    names = ("modality", "before", "after", "question", "kind_before", "kind_after", "n")
    values = ("score_before", "score_after", "change")
    return [
        {name: each.get(name) for name in (*names, *values)} | dict(zip(("low", "high"), _bounds(each), strict=True))
        for each in changes
    ]


def _bounds(change: Content) -> Sequence[float | None]:
    return change.get("change_ci95") or (None, None)


def _changes(found: Content) -> list[Block]:
    rows = change_rows(pair_changes(found))
    if not rows:
        return [Notice("What each addition changes", "No two trained combinations differ by one modality alone.")]
    parts = []
    for name, each in found["summary"].items():
        pairs = each["pairs"]
        if pairs["n"]:
            parts.append(
                f"{name}: {pairs['better']} of {pairs['n']} better, {pairs['worse']} worse, "
                f"{pairs['unclear']} not decided, mean {signed(pairs['mean_change'])}"
            )
    caption = f"Change of recall@1 when a modality is added. {'; '.join(parts)}. {RULE}"
    plate = Plate(
        name="contributions",
        title="What each addition changes",
        caption=caption,
        alt=f"One panel a modality, one line a question, with its interval. {caption}",
        draw=partial(draw_changes, rows),
        data=rows,
    )
    return [plate]


def draw_changes(changes: Sequence[Mapping[str, Any]]) -> Any:
    """One panel a modality."""
    names = [name for name in modality_names() if any(each["modality"] == name for each in changes)]
    most = max(sum(each["modality"] == name for each in changes) for name in names)
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    figure, axes = paint.panels(lines, columns, height=lines * (1.0 + paint.ROW_INCH * most) + 0.3, sharex=True)
    for axis, name in zip(axes, names, strict=False):
        own = sorted((each for each in changes if each["modality"] == name), key=lambda each: -each["change"])
        paint.forest(axis, [_estimate(each) for each in own])
        paint.finish(axis, title=f"+ {name}", xlabel="change of recall@1", grid="x")
    paint.hide(axes[len(names) :])
    paint.state_legend(figure)
    return figure


def _estimate(change: Mapping[str, Any]) -> paint.Estimate:
    label = f"{change['before']}: {arrow(change['question'])}"
    return paint.Estimate(label, change["change"], change["low"], change["high"])


def _hub(found: Content) -> list[Block]:
    title = "What the crystal hub is worth"
    rows = change_rows([each for each in found["worth_of_hub"] if not each["question"].startswith(PROBE)])
    if not rows:
        return [Notice(title, "No combination without crystal was trained beside the one with it.")]
    up = [row for row in rows if paint.state(row["low"], row["high"]) == "better"]
    down = [row for row in rows if paint.state(row["low"], row["high"]) == "worse"]
    most = max(rows, key=lambda row: abs(row["change"]))
    caption = (
        f"Crystal is added to the combinations without it and becomes their hub, so that pairs trained directly become "
        f"emergent: recall@1 rises in {len(up)} of {counted(len(rows), 'pair')} and falls in {len(down)}. The largest "
        f"change is {signed(most['change'])}, of {arrow(most['question'])} in {most['before']}. {RULE}"
    )
    alt = f"One line a pair with its interval. {caption}"
    return [Plate("worth_of_hub", title, caption, alt, partial(draw_hub, rows), rows)]


def draw_hub(changes: Sequence[Mapping[str, Any]]) -> Any:
    """One panel; the kinds of the pair before and after stand in the label."""
    own = sorted(changes, key=lambda each: -each["change"])
    figure, [axes] = paint.panels(1, 1, height=1.3 + paint.ROW_INCH * len(own), width=7.5)
    labels = [
        f"{each['before']}: {arrow(each['question'])} ({each['kind_before']} → {each['kind_after']})" for each in own
    ]
    paint.forest(axes, [_estimate(each)._replace(label=label) for each, label in zip(own, labels, strict=True)])
    paint.finish(axes, xlabel="change of recall@1 with crystal as the hub", grid="x")
    paint.state_legend(figure)
    return figure


def shapley_rows(shapley: Content) -> list[dict[str, Any]]:
    """Value and interval, or bounds, of every modality for every score."""
    scores = {"retrieval": shapley.get("retrieval"), **available(shapley.get("probes", {}))}
    rows = []
    for name, result in scores.items():
        if reason(result) is not None or result is None:
            continue
        values = result.get("values") or {}
        for each in values or result["bounds"]:
            value = values[each]["value"] if values else None
            low, high = values[each].get("ci95") or (None, None) if values else result["bounds"][each]
            row = {"question": f"{name}: {each}", "score": name, "modality": each, "value": value}
            rows.append({**row, "low": low, "high": high, "bounds": not values})
    return rows


def _shapley(found: Content) -> list[Block]:
    title = "Shapley values"
    shapley = found["shapley"]
    rows = shapley_rows(shapley)
    retrieval = shapley.get("retrieval")
    why = reason(retrieval)
    notices: list[Block] = [Notice(f"{title} of retrieval", why)] if why else []
    if reason(shapley.get("probes")) is None:
        notices += gaps(shapley.get("probes") or {})
    if not rows:
        return notices or [Notice(title, reasons(shapley.get("probes", {})))]
    caption = f"{_shapley_caption(retrieval)} {_probe_caption(rows)}".strip()
    alt = f"Bars of every modality's share, one panel a score. {caption}"
    return [Plate("shapley", title, caption, alt, partial(draw_shapley, rows), rows), *notices]


def _shapley_caption(retrieval: Any) -> str:
    if reason(retrieval) is not None:
        return ""
    if "values" not in retrieval:
        bounds = ", ".join(f"{name} {interval(each)}" for name, each in retrieval["bounds"].items())
        return (
            f"Without {listing(retrieval['missing'])} only bounds can be given: {bounds} of the {retrieval['score']}."
        )
    order = sorted(retrieval["values"].items(), key=lambda item: -item[1]["value"])
    parts = [f"{name} {share(each['value'])} ({interval(each.get('ci95'))})" for name, each in order]
    return (
        f"Retrieval: {', '.join(parts)}. They add up to the step from {share(retrieval['none'])} without any modality "
        f"(chance) to {share(retrieval['everything'])} with all. Score: {retrieval['score']}. To make a question "
        "answerable at all counts here; the changes below are of questions that both models answer."
    )


def _probe_caption(rows: Sequence[Mapping[str, Any]]) -> str:
    tops = []
    for name in dict.fromkeys(row["score"] for row in rows if row["score"] != "retrieval" and not row["bounds"]):
        top = max((row for row in rows if row["score"] == name), key=lambda row: row["value"])
        tops.append(f"{top['modality']} for {readable(name)}")
    return f"Of the properties, the largest share is that of {listing(tops)}." if tops else ""


def draw_shapley(shares: Sequence[Mapping[str, Any]]) -> Any:
    """One panel a score."""
    scores = list(dict.fromkeys(each["score"] for each in shares))
    columns = min(3, len(scores))
    lines = -(-len(scores) // columns)
    figure, axes = paint.panels(lines, columns, height=2.15 * lines)
    for axis, score in zip(axes, scores, strict=False):
        own = [each for each in shares if each["score"] == score]
        for y, each in enumerate(own):
            colour = paint.modality_look(each["modality"])["color"]
            if each["value"] is None:
                axis.plot([each["low"], each["high"]], [y, y], color=colour, linewidth=5, solid_capstyle="butt")
                continue
            axis.barh(y, each["value"], color=colour, height=0.62)
            if each["low"] is not None:
                bounds = paint.errors(each["value"], (each["low"], each["high"]))
                axis.errorbar(each["value"], y, xerr=bounds, color=INK, linewidth=1.2, capsize=2.5)
        axis.axvline(0, color=INK, linewidth=0.9)
        paint.rows(axis, [each["modality"] for each in own])
        axis.tick_params(axis="x", labelsize=paint.SMALL)
        of = "of the mean recall@1" if score == "retrieval" else "of the score of its probe"
        paint.finish(axis, title=readable(score), xlabel=of, grid="x")
    paint.hide(axes[len(scores) :])
    return figure


def _table(changes: Sequence[Content]) -> Table:
    rows = []
    for each in changes:
        low, high = _bounds(each)
        verdict = {"better": "better", "worse": "worse", "unclear": "not decided"}[paint.state(low, high)]
        rows.append(
            [
                Cell(f"+ {each['modality']}"),
                Cell(each["before"]),
                Cell(readable(arrow(each["question"]))),
                number(float(each["n"]), str(each["n"])),
                number(each["score_before"], share(each["score_before"])),
                number(each["score_after"], share(each["score_after"])),
                number(each["change"], signed(each["change"])),
                Cell(interval((low, high))),
                Cell(verdict),
            ]
        )
    columns = ("added", "to", "question", "*N", "*before", "*after", "*change", "95 % interval", "verdict")
    caption = f"Recall@1 of pairs, accuracy of class probes, minus the mean absolute error of the others. {RULE}"
    return Table("changes", "All changes", caption, columns, rows, folded=True)
