"""How recall falls as the query gets worse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Rows, gaps, grouped, instead
from matbind.report.inputs import Content, Inputs, available, leaves, reason, reasons
from matbind.report.style import COLOURS
from matbind.report.words import arrow, basis, counted, readable, share

HALF = 0.5
LEVEL_LOOKS = ((COLOURS[0], ""), (COLOURS[5], "////"), (COLOURS[4], "...."))  # colour and hatch
PANEL, LINE = ("modality", "perturbation"), ("combination", "pair")  # the columns that tell one from another


def answer(content: Content, _: Inputs) -> list[Block]:
    """Return curves of perturbed spectra, and bars of shortened texts."""
    curves = list(leaves(content.get("curves", {}), 2))
    rows = curve_rows(curves)
    if rows:
        plate = Plate("robustness", f"{_falls(rows)} {basis(rows)}", partial(draw, rows), rows)
        models = {name: model for _, _, curve in curves for name, model in curve["models"].items()}
        return [plate, *gaps(models), _texts(content.get("text"))]
    why = dict.fromkeys(reasons(curve["models"]) for _, _, curve in curves)
    return [Notice("Perturbed spectra", "; ".join(why) or "no modality was perturbed"), _texts(content.get("text"))]


def curve_rows(curves: Sequence[tuple[str, str, Content]]) -> list[dict[str, Any]]:
    """Return one row a point of a curve; a perturbation comes with its modality and name."""
    return [
        {"modality": modality, "perturbation": name, "unit": curve["unit"], **point}
        for modality, name, curve in curves
        for point in _points(curve["models"], "strength", curve["strengths"])
    ]


def _points(models: Content, axis: str, steps: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield one row a model, pair and step, the step under the name of the axis."""
    for combination, model in available(models).items():
        for pair, result in available(model["pairs"]).items():
            start = {"combination": combination, "pair": pair, "n": result["n"], "chance": result["chance_at_1"]}
            ends = result.get("recall_at_1_ci95") or [(None, None)] * len(steps)
            for step, recall, (low, high) in zip(steps, result["recall_at_1"], ends, strict=True):
                yield {**start, axis: step, "recall_at_1": recall, "low": low, "high": high}


def _falls(rows: Rows) -> str:
    """Say of every perturbation what share of recall is left at its strongest, or where half is lost."""
    parts = []
    for (modality, perturbation), points in grouped(rows, *PANEL).items():
        line = max(grouped(points, *LINE).values(), key=lambda line: line[0]["recall_at_1"] or 0)
        start, end = line[0]["recall_at_1"], line[-1]
        if not start:
            continue
        half = next((row for row in line if row["recall_at_1"] <= HALF * start), None)
        lost = "half is lost" if half else f"{100 * end['recall_at_1'] / start:.0f} % is left"
        point = half or end
        where = f"{lost} at {point['strength']:g} {point['unit']}".rstrip()
        parts.append(f"{modality} {readable(perturbation)}: {where}")
    best = f"Of recall@1 of the best pair in its best model: {'; '.join(parts)}."
    return best if parts else "Recall is at zero from the start."


def draw(points: Rows) -> Any:
    """Draw one panel a perturbation: colour and marker show the key, the line shows the model."""
    panels = grouped(points, *PANEL)
    figure, axes = paint.grid(len(panels), across=4, row=2.3, rest=0.7, sharey=True)
    largest = max(len(row["combination"].split("+")) for row in points)
    for position, (axis, ((modality, perturbation), rows)) in enumerate(zip(axes, panels.items(), strict=True)):
        for (combination, pair), line in grouped(rows, *LINE).items():
            _line(axis, line, arrow(pair), combination, whole=len(combination.split("+")) == largest)
        title = f"{modality}: {readable(perturbation)}"
        ylabel = "" if position % 4 else "recall@1"
        paint.finish(axis, title=title, title_size=paint.LABEL, xlabel=rows[0]["unit"], ylabel=ylabel)
        axis.set_ylim(-0.03, 1.03)
    return paint.legend(figure)


def _line(axis: Any, line: Rows, pair: str, combination: str, *, whole: bool) -> None:
    x, y, low, high = ([row[key] for row in line] for key in ("strength", "recall_at_1", "low", "high"))
    look = paint.modality_look(line[0]["pair"].split("->")[1])
    dash, fill, label = ("-", look["color"], pair) if whole else ("--", "white", f"{pair} ({combination})")
    axis.plot(x, y, dash, linewidth=1.4, markersize=3.5, markerfacecolor=fill, label=label, **look)
    if whole and low[0] is not None:
        axis.fill_between(x, low, high, color=look["color"], alpha=0.13, linewidth=0)
    axis.axhline(line[0]["chance"], **paint.CHANCE, label="chance")


def _texts(text: Content | None) -> Block:
    if text is None or reason(text):
        return instead("robustness_text", reason(text))
    rows = list(_points(text["models"], "level", text["levels"]))
    if not rows:
        return instead("robustness_text", reasons(text["models"]))
    best = max(rows, key=lambda row: row["recall_at_1"])
    line = grouped(rows, *LINE)[best["combination"], best["pair"]]
    parts = [f"{readable(row['level'])} {share(row['recall_at_1'])}" for row in line]
    empty = [f"{readable(level)} of {counted(n, 'text')}" for level, n in text.get("failed", {}).items() if n]
    left_out = f" Nothing is left as {', '.join(empty)}." if empty else ""
    caption = f"{arrow(best['pair'])} of {best['combination']}: {', '.join(parts)}.{left_out} {basis(rows)}"
    return Plate("robustness_text", caption, partial(draw_texts, rows), rows)


def draw_texts(results: Rows) -> Any:
    """Draw one group of bars a pair and model."""
    groups, levels = list(grouped(results, *LINE)), list(grouped(results, "level"))
    figure, axes = paint.panel(1.1 + 0.62 * len(groups), width=7.5)
    for row in results:
        level = levels.index(row["level"])
        y = groups.index((row["combination"], row["pair"])) + 0.26 * (level - (len(levels) - 1) / 2)
        colour, hatch = LEVEL_LOOKS[level % len(LEVEL_LOOKS)]
        look = {"height": 0.23, "color": colour, "hatch": hatch, "edgecolor": "white", "label": readable(row["level"])}
        paint.bar(axes, y, row["recall_at_1"], row, line=1, cap=2, **look)
    axes.axvline(results[0]["chance"], **paint.CHANCE, label="chance")
    paint.label_rows(axes, [f"{combination}: {arrow(pair)}" for combination, pair in groups])
    axes.set_xlim(0, 1)
    paint.finish(axes, xlabel="recall@1", lines="x")
    return paint.legend(figure)
