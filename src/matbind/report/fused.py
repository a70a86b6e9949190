"""Questions asked with several modalities at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.modalities.combinations import parse_combination
from matbind.report import paint
from matbind.report.blocks import Notice, Plate, Section, gaps
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.words import arrow, counted, interval, share, signed, span

TITLE = "Do fused queries find more?"
LEAD = (
    "A query is the mean of the unit vectors of several modalities of one material. It is compared with the best of "
    "its parts alone, on the same gallery."
)


def section(inputs: Inputs) -> Section:
    """One figure of all fused questions."""
    found = inputs.answers["fused"]
    rows = fused_rows(found)
    if not rows:
        why = reason(found) or reasons(found["results"])
        return Section("fused", TITLE, LEAD, [Notice("Fused queries", why)])
    told = _caption(rows)
    alt = f"One line a question, from the recall of its best part to that of the fused query. {told}"
    plate = Plate("fused", "Fused queries beside their best part", told, alt, partial(draw, rows), rows)
    return Section("fused", TITLE, LEAD, [plate, *gaps(found["results"])])


def fused_rows(found: Content) -> list[dict[str, Any]]:
    """One row a combination and fused question."""
    if reason(found) is not None:
        return []
    rows = []
    for combination, questions in available(found["results"]).items():
        for name, each in available(questions).items():
            low, high = each.get("recall_at_1_ci95") or (None, None)
            gain_low, gain_high = each.get("gain_ci95") or (None, None)
            rows.append(
                {
                    "combination": combination,
                    "question": name,
                    "n": each["n"],
                    "chance": each["chance_at_1"],
                    "recall_at_1": each["recall_at_1"],
                    "low": low,
                    "high": high,
                    "best_part": each["best_part"],
                    "best_part_recall_at_1": each["parts"][each["best_part"]],
                    "gain": each["gain"],
                    "gain_low": gain_low,
                    "gain_high": gain_high,
                }
            )
    return rows


def _caption(rows: Sequence[Mapping[str, Any]]) -> str:
    up, down = (
        [row for row in rows if paint.state(row["gain_low"], row["gain_high"]) == which]
        for which in ("better", "worse")
    )
    most, least = max(rows, key=lambda row: row["gain"]), min(rows, key=lambda row: row["gain"])
    text = (
        f"Fusing raises recall@1 above the best part alone in {len(up)} of {counted(len(rows), 'question')} and lowers "
        f"it in {len(down)} (95 % intervals, paired). The largest gain is {signed(most['gain'])} "
        f"({interval((most['gain_low'], most['gain_high']))}), of {arrow(most['question'])} in {most['combination']}: "
        f"{share(most['recall_at_1'])}."
    )
    if down:
        parts = " or ".join(dict.fromkeys(row["best_part"] for row in down))
        text += (
            f" The largest loss is {signed(least['gain'])}, of {arrow(least['question'])} in {least['combination']}; "
            f"where fusing loses, the best part is {parts}."
        )
    return f"{text} N = {span(row['n'] for row in rows)}, chance {span((row['chance'] for row in rows), '.2g')}."


def draw(results: Sequence[Mapping[str, Any]]) -> Any:
    """Two columns: combinations of fewer modalities, and the largest."""
    most = max(len(parse_combination(row["combination"]).modalities) for row in results)
    sides = [
        [row for row in results if (len(parse_combination(row["combination"]).modalities) == most) is whole]
        for whole in (False, True)
    ]
    sides = [side for side in sides if side]
    height = 1.4 + paint.ROW_INCH * max(len(side) for side in sides)
    figure, axes = paint.panels(1, len(sides), height=height, sharex=True)
    for axis, side in zip(axes, sides, strict=True):
        for y, row in enumerate(side):
            state = paint.state(row["gain_low"], row["gain_high"])
            part, whole = row["best_part_recall_at_1"], row["recall_at_1"]
            axis.plot([part, whole], [y, y], color=paint.STATES[state]["color"], linewidth=2)
            axis.plot(part, y, "|", color=paint.SOFT, markersize=9, markeredgewidth=2, label="best part alone")
            look = paint.STATES[state]
            axis.plot(whole, y, linestyle="", markersize=5, label=f"fused, {paint.STATE_NAMES[state]}", **look)
            axis.plot(row["chance"], y, "x", color=paint.SOFT, markersize=3.5, label="chance")
        one = len({row["combination"] for row in side}) == 1
        paint.rows(
            axis, [arrow(row["question"]) if one else f"{row['combination']}: {arrow(row['question'])}" for row in side]
        )
        paint.finish(axis, title=side[0]["combination"] if one else "fewer modalities", xlabel="recall@1", grid="x")
        axis.set_xlim(-0.02, 1.02)
    paint.legend(figure, paint.handles_of(axes), columns=3)
    return figure
