"""Questions asked with several modalities at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from matbind.modalities.combinations import parse_combination
from matbind.report import paint
from matbind.report.blocks import Block, Plate, Rows, gaps
from matbind.report.inputs import Content, Inputs, bounds, leaves
from matbind.report.style import SOFT
from matbind.report.words import arrow, phrase, state


def answer(content: Content, _: Inputs) -> list[Block]:
    """Return one figure of all fused questions."""
    rows = fused_rows(content["results"])
    if not rows:
        return []
    return [Plate("fused", _caption(rows), partial(draw, rows), rows), *gaps(content["results"])]


def fused_rows(results: Content) -> list[dict[str, Any]]:
    """Return one row a combination and fused question."""
    rows = []
    for combination, question, result in leaves(results, 2):
        best = result["best_part"]
        row = {"combination": combination, "question": question, "n": result["n"], "chance": result["chance_at_1"]}
        row |= {"recall_at_1": result["recall_at_1"], **bounds(result, "recall_at_1_ci95"), "best_part": best}
        row |= {"best_part_recall_at_1": result["parts"][best], "gain": result["gain"]}
        rows.append(row | bounds(result, "gain_ci95", of="gain_"))
    return rows


def _caption(rows: Rows) -> str:
    up, down = ([row for row in rows if state(row, of="gain_") == which] for which in ("better", "worse"))
    least, most = (pick(rows, key=lambda row: row["gain"]) for pick in (min, max))
    parts = " or ".join(dict.fromkeys(row["best_part"] for row in down))
    loss = phrase("figure.fused.loss", least=least, parts=parts) if down else ""
    counts = {"up": len(up), "n": len(rows), "down": len(down)}
    return phrase("figure.fused.caption", **counts, most=most, loss=loss, rows=rows)


def draw(results: Rows) -> Any:
    """Draw two columns: combinations of fewer modalities, and the largest."""
    sizes = [len(parse_combination(row["combination"]).modalities) for row in results]
    sized = list(zip(results, sizes, strict=True))
    sides = [[row for row, size in sized if (size == max(sizes)) is largest] for largest in (False, True)]
    sides = [side for side in sides if side]
    height = 1.4 + paint.ROW_INCH * max(len(side) for side in sides)
    figure, axes = paint.grid(len(sides), across=2, row=height, sharex=True)
    for axis, side in zip(axes, sides, strict=True):
        for y, row in enumerate(side):
            gain = state(row, of="gain_")
            look, label = paint.STATES[gain], f"fused, {paint.STATE_NAMES[gain]}"
            part, whole = row["best_part_recall_at_1"], row["recall_at_1"]
            axis.plot([part, whole], [y, y], color=look["color"], linewidth=2)
            axis.plot(part, y, "|", color=SOFT, markersize=9, markeredgewidth=2, label="best part alone")
            axis.plot(whole, y, linestyle="", markersize=5, label=label, **look)
            axis.plot(row["chance"], y, "x", color=SOFT, markersize=3.5, label="chance")
        names = {row["combination"] for row in side}
        heads = ["" if len(names) == 1 else f"{row['combination']}: " for row in side]
        paint.label_rows(axis, [f"{head}{arrow(row['question'])}" for head, row in zip(heads, side, strict=True)])
        title = names.pop() if len(names) == 1 else "fewer modalities"
        paint.finish(axis, title=title, xlabel="recall@1", lines="x")
        axis.set_xlim(-0.02, 1.02)
    return paint.legend(figure, columns=3)
