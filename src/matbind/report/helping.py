"""Does a modality help: what each addition changes, Shapley values, what the hub is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from matbind.modalities.table import HUB_ORDER, modality_names
from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Rows, Table, gaps, grouped, instead, number
from matbind.report.inputs import Content, Inputs, available, bounds, reason, reasons
from matbind.report.style import INK
from matbind.report.words import arrow, interval, intervals_over, phrase, readable, share, signed, state

HUB = HUB_ORDER[0]
PROBE = "probe "
RETRIEVAL = "retrieval"
COLUMNS = (
    *("modality", "before", "after", "question", "kind_before", "kind_after", "n"),
    *("score_before", "score_after", "change"),
)


def answer(content: Content, inputs: Inputs) -> list[Block]:
    """Return changes, Shapley values and the worth of the hub."""
    rule = phrase("question.helping.rule", over=intervals_over(inputs.seeds()))
    blocks = [
        *_shapley(content["shapley"]),
        *_changes(content, rule),
        _hub(pair_changes(content["worth_of_hub"]), rule),
    ]
    return [*blocks, _table(change_rows(content["changes"]), rule)] if content["changes"] else blocks


def change_rows(changes: Sequence[Content]) -> list[dict[str, Any]]:
    """Return one row a change, the interval in two columns."""
    return [{name: change.get(name) for name in COLUMNS} | bounds(change, "change_ci95") for change in changes]


def pair_changes(changes: Sequence[Content]) -> list[dict[str, Any]]:
    """Return one row a change of retrieval, without those of probes."""
    return change_rows([change for change in changes if not change["question"].startswith(PROBE)])


def count_states(rows: Rows) -> Counter[str]:
    """Count what the intervals of changes say."""
    return Counter(state(row) for row in rows)


def mean_changes(content: Content) -> dict[str, Content]:
    """Return by added modality the mean change of retrieval and how many are better and worse, if there are any."""
    return {name: of["pairs"] for name, of in content["summary"].items() if of["pairs"]["n"]}


def _changes(content: Content, rule: str) -> list[Block]:
    rows = pair_changes(content["changes"])
    if not rows:
        return [instead("contributions")]
    means = mean_changes(content).items()
    parts = [phrase("figure.contributions.part", name=name, pairs=pairs) for name, pairs in means]
    caption = phrase("figure.contributions.caption", parts="; ".join(parts), rule=rule)
    return [Plate("contributions", caption, partial(draw_changes, rows), rows)]


def draw_changes(changes: Rows) -> Any:
    """Draw one panel a modality."""
    by_name = grouped(sorted(changes, key=lambda row: modality_names().index(row["modality"])), "modality")
    row_inch = 1.0 + paint.ROW_INCH * max(len(rows) for rows in by_name.values())
    figure, axes = paint.grid(len(by_name), across=2, row=row_inch, rest=0.3, sharex=True)
    for axis, (name, rows) in zip(axes, by_name.items(), strict=True):
        paint.forest(axis, rows)
        paint.finish(axis, title=f"+ {name}", xlabel="change of recall@1", lines="x")
    return paint.state_legend(figure)


def _hub(rows: Rows, rule: str) -> Block:
    if not rows:
        return instead("worth_of_hub")
    states, most = count_states(rows), max(rows, key=lambda row: abs(row["change"]))
    caption = phrase("figure.worth_of_hub.caption", name=HUB, states=states, n=len(rows), most=most, rule=rule)
    return Plate("worth_of_hub", caption, partial(draw_hub, rows), rows)


def draw_hub(changes: Rows) -> Any:
    """Draw one panel; the kinds of the pair before and after stand in the label."""
    figure, axes = paint.panel(1.3 + paint.ROW_INCH * len(changes), width=7.5)
    paint.forest(axes, changes, note="({kind_before} → {kind_after})")
    paint.finish(axes, xlabel=f"change of recall@1 with {HUB} as the hub", lines="x")
    return paint.state_legend(figure)


def shapley_rows(shapley: Content) -> list[dict[str, Any]]:
    """Return value and interval, or bounds, of every modality for every score."""
    rows = []
    scores = {RETRIEVAL: shapley.get(RETRIEVAL), **available(shapley.get("probes", {}))}
    for score, result in available(scores).items():
        values = result.get("values") or {}
        for name in values or result["bounds"]:
            ends = bounds(values[name]) if values else bounds(result["bounds"], name)
            value = values[name]["value"] if values else None
            row = {"question": f"{score}: {name}", "score": score, "modality": name, "value": value}
            rows.append({**row, **ends, "bounds": not values})
    return rows


def _shapley(shapley: Content) -> list[Block]:
    rows = shapley_rows(shapley)
    retrieval, probes = shapley.get(RETRIEVAL), shapley.get("probes")
    why = reason(retrieval)
    notices: list[Block] = [Notice("Shapley values of retrieval", why)] if why else []
    if reason(probes) is None:
        notices += gaps(probes or {})
    if not rows:
        return notices or [instead("shapley", reasons(shapley.get("probes", {})))]
    caption = f"{_shapley_caption(retrieval)} {_probe_caption(rows)}".strip()
    return [Plate("shapley", caption, partial(draw_shapley, rows), rows), *notices]


def _shapley_caption(retrieval: Any) -> str:
    if reason(retrieval) is not None:
        return ""
    if "values" not in retrieval:
        limits = ", ".join(f"{name} {interval(bounds(retrieval['bounds'], name))}" for name in retrieval["bounds"])
        return phrase("figure.shapley.bounds", retrieval=retrieval, limits=limits)
    order = sorted(retrieval["values"].items(), key=lambda item: -item[1]["value"])
    parts = [f"{name} {share(value['value'])} ({interval(bounds(value))})" for name, value in order]
    return phrase("figure.shapley.retrieval", retrieval=retrieval, parts=", ".join(parts))


def _probe_caption(rows: Rows) -> str:
    by_score = grouped((row for row in rows if row["score"] != RETRIEVAL and not row["bounds"]), "score")
    tops = {score: max(of_score, key=lambda row: row["value"]) for score, of_score in by_score.items()}
    parts = [f"{row['modality']} for {readable(score)}" for score, row in tops.items()]
    return phrase("figure.shapley.probes", parts=parts) if parts else ""


def draw_shapley(shares: Rows) -> Any:
    """Draw one panel a score."""
    scores = grouped(shares, "score")
    figure, axes = paint.grid(len(scores), across=3, row=2.15)
    for axis, (score, rows) in zip(axes, scores.items(), strict=True):
        for y, row in enumerate(rows):
            colour = paint.modality_look(row["modality"])["color"]
            if row["value"] is None:
                axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=5, solid_capstyle="butt")
            else:
                paint.bar(axis, y, row["value"], row, line=1.2, cap=2.5, color=colour, height=0.62)
        axis.axvline(0, color=INK, linewidth=0.9)
        paint.label_rows(axis, [row["modality"] for row in rows])
        of = "of the mean recall@1" if score == RETRIEVAL else "of the score of its probe"
        paint.finish(axis, title=readable(score), xlabel=of, lines="x")
    return figure


def _table(changes: Rows, rule: str) -> Table:
    rows = [
        [
            *(f"+ {row['modality']}", row["before"], readable(arrow(row["question"])), row["n"]),
            *(number(row["score_before"], share), number(row["score_after"], share), number(row["change"], signed)),
            *(interval(row), state(row).replace("unclear", "not decided")),
        ]
        for row in changes
    ]
    return Table("changes", phrase("table.changes.caption", rule=rule), rows, folded=True)
