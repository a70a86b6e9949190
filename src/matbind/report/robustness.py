"""How recall falls as the query gets worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Section, gaps
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import arrow, counted, readable, share, span

TITLE = "How much does a worse query cost?"
LEAD = (
    "The query is perturbed and embedded anew, the keys stay as they are: what noise, a shifted axis or a missing part "
    "of a measured pattern does to recall."
)
HALF = 0.5


def section(inputs: Inputs) -> Section:
    """Curves of patterns and densities of states, and bars of shortened texts."""
    found = inputs.answers["robustness"]
    why = reason(found)
    if why is not None:
        return Section("robustness", TITLE, LEAD, [Notice("Robustness", why)])
    rows = curve_rows(found)
    blocks: list[Block] = [_curves(rows)] if rows else [Notice("Perturbed spectra", _why(found))]
    if rows:
        blocks += gaps({name: each for models in _models(found) for name, each in models.items()})
    return Section("robustness", TITLE, LEAD, [*blocks, *_texts(found)])


def curve_rows(found: Content) -> list[dict[str, Any]]:
    """One row a point of a curve."""
    rows = []
    for name, perturbations in available(found.get("curves", {})).items():
        for perturbation, curve in available(perturbations).items():
            for combination, model in available(curve["models"]).items():
                for pair, each in available(model["pairs"]).items():
                    start = {"modality": name, "perturbation": perturbation, "unit": curve["unit"]}
                    start |= {"combination": combination, "pair": pair, "n": each["n"], "chance": each["chance_at_1"]}
                    rows += [
                        {**start, "strength": x, **point}
                        for x, point in zip(curve["strengths"], _points(each), strict=True)
                    ]
    return rows


def text_rows(found: Content) -> list[dict[str, Any]]:
    """One row a level of the text."""
    text = found.get("text")
    if reason(text) is not None or text is None:
        return []
    rows = []
    for combination, model in available(text["models"]).items():
        for pair, each in available(model["pairs"]).items():
            start = {"combination": combination, "pair": pair, "n": each["n"], "chance": each["chance_at_1"]}
            rows += [{**start, "level": x, **point} for x, point in zip(text["levels"], _points(each), strict=True)]
    return rows


def _points(result: Content) -> Iterator[dict[str, Any]]:
    bounds = result.get("recall_at_1_ci95") or [(None, None)] * len(result["recall_at_1"])
    for value, (low, high) in zip(result["recall_at_1"], bounds, strict=True):
        yield {"recall_at_1": value, "low": low, "high": high}


def _models(found: Content) -> list[Content]:
    """The models of every perturbation."""
    return [
        curve["models"]
        for perturbations in available(found.get("curves", {})).values()
        for curve in available(perturbations).values()
    ]


def _why(found: Content) -> str:
    told = [reasons(models) for models in _models(found)]
    return "; ".join(dict.fromkeys(told)) or "no modality was perturbed"


def _curves(rows: Sequence[Mapping[str, Any]]) -> Plate:
    told = (
        f"{_falls(rows)} N = {span(row['n'] for row in rows)}, chance {span((row['chance'] for row in rows), '.2g')}."
    )
    return Plate(
        name="robustness",
        title="Recall@1 against the strength of a perturbation",
        caption=told,
        alt=f"One panel a perturbation, one curve a pair and model, chance dotted. {told}",
        draw=partial(draw, rows),
        data=rows,
    )


def _falls(rows: Sequence[Mapping[str, Any]]) -> str:
    """Of every perturbation, the share of recall that is left at its strongest, and where half is lost."""
    parts = []
    for panel in dict.fromkeys((row["modality"], row["perturbation"]) for row in rows):
        lines = _lines(rows, panel)
        line = max(lines.values(), key=lambda line: line[0]["recall_at_1"] or 0)
        first, last = line[0], line[-1]
        if not first["recall_at_1"]:
            continue
        half = next((row for row in line if row["recall_at_1"] <= HALF * first["recall_at_1"]), None)
        left = last["recall_at_1"] / first["recall_at_1"]
        where = (
            f"half is lost at {half['strength']:g} {half['unit']}".rstrip()
            if half
            else f"{100 * left:.0f} % is left at {last['strength']:g} {last['unit']}".rstrip()
        )
        parts.append(f"{panel[0]} {readable(panel[1])}: {where}")
    return (
        f"Of recall@1 of the best pair in its best model: {'; '.join(parts)}."
        if parts
        else "Recall is at zero from the start."
    )


def _lines(rows: Sequence[Mapping[str, Any]], panel: tuple[str, str]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if (row["modality"], row["perturbation"]) == panel:
            lines.setdefault((row["combination"], row["pair"]), []).append(row)
    return lines


def draw(points: Sequence[Mapping[str, Any]]) -> Any:
    """One panel a perturbation: colour and marker tell the key, the line tells the model."""
    names = list(dict.fromkeys((row["modality"], row["perturbation"]) for row in points))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, axes = paint.panels(lines, columns, height=2.3 * lines + 0.7, sharey=True)
    largest = max(len(row["combination"].split("+")) for row in points)
    for axis, panel in zip(axes, names, strict=False):
        for (combination, pair), line in _lines(points, panel).items():
            whole = len(combination.split("+")) == largest
            x, y = [row["strength"] for row in line], [row["recall_at_1"] for row in line]
            look = paint.modality_look(pair.split("->")[1])
            style = "-" if whole else "--"
            fill = look["color"] if whole else "white"
            label = f"{arrow(pair)}{'' if whole else f' ({combination})'}"
            axis.plot(x, y, style, linewidth=1.4, markersize=3.5, markerfacecolor=fill, label=label, **look)
            if whole and line[0]["low"] is not None:
                bounds = [row["low"] for row in line], [row["high"] for row in line]
                axis.fill_between(x, *bounds, color=look["color"], alpha=0.13, linewidth=0)
            axis.axhline(line[0]["chance"], **paint.CHANCE, label="chance")
        unit = next(row["unit"] for row in points if (row["modality"], row["perturbation"]) == panel)
        paint.finish(axis, xlabel=unit)
        axis.set_title(f"{panel[0]}: {readable(panel[1])}", fontsize=paint.LABEL, loc="left")
        axis.set_ylim(-0.03, 1.03)
    for axis in axes[::columns]:
        axis.set_ylabel("recall@1", fontsize=paint.LABEL)
    paint.hide(axes[len(names) :])
    paint.legend(figure, paint.handles_of(axes), columns=4)
    return figure


def _texts(found: Content) -> list[Block]:
    title = "Recall@1 of shortened texts"
    rows = text_rows(found)
    text = found.get("text")
    if not rows:
        return [Notice(title, reason(text) or reasons(text["models"] if text else None))]
    best = max(rows, key=lambda row: row["recall_at_1"])
    same = [row for row in rows if (row["combination"], row["pair"]) == (best["combination"], best["pair"])]
    parts = [f"{readable(row['level'])} {share(row['recall_at_1'])}" for row in same]
    failed = {level: n for level, n in (text or {}).get("failed", {}).items() if n}
    empty = ", ".join(f"{readable(level)} of {counted(n, 'text')}" for level, n in failed.items())
    left_out = f" Nothing is left as {empty}." if empty else ""
    told = (
        f"{arrow(best['pair'])} of {best['combination']}: {', '.join(parts)}.{left_out} "
        f"N = {span(row['n'] for row in rows)}, chance {span((row['chance'] for row in rows), '.2g')}."
    )
    alt = f"Grouped bars, one group a pair, one bar a level of the text. {told}"
    return [Plate("robustness_text", title, told, alt, partial(draw_texts, rows), rows)]


def draw_texts(results: Sequence[Mapping[str, Any]]) -> Any:
    """One group of bars a pair and model."""
    groups = list(dict.fromkeys((row["combination"], row["pair"]) for row in results))
    levels = list(dict.fromkeys(row["level"] for row in results))
    figure, [axes] = paint.panels(1, 1, height=1.1 + 0.62 * len(groups), width=7.5)
    for row in results:
        group, level = groups.index((row["combination"], row["pair"])), levels.index(row["level"])
        y = group + 0.26 * (level - (len(levels) - 1) / 2)
        hatch = ("", "////", "....")[level % 3]
        colour = COLOURS[(0, 5, 4)[level % 3]]
        axes.barh(
            y,
            row["recall_at_1"],
            height=0.23,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            label=readable(row["level"]),
        )
        if row["low"] is not None:
            bounds = paint.errors(row["recall_at_1"], (row["low"], row["high"]))
            axes.errorbar(row["recall_at_1"], y, xerr=bounds, color=INK, linewidth=1, capsize=2)
    axes.axvline(results[0]["chance"], **paint.CHANCE, label="chance")
    paint.rows(axes, [f"{combination}: {arrow(pair)}" for combination, pair in groups])
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    paint.finish(axes, xlabel="recall@1", grid="x")
    paint.legend(figure, paint.handles_of([axes]))
    return figure
