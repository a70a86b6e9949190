"""The shape of the latent space: spread, dimension, and how far the modalities lie apart."""

from __future__ import annotations

from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Rows, gaps, grouped
from matbind.report.inputs import Content, Inputs, available, leaves
from matbind.report.words import counted, plain, span

MEASURES = {  # of modalities and of pairs
    "modalities": {"uniformity": "uniformity", "effective_rank": "effective rank"},
    "pairs": {"alignment": "alignment", "modality_gap": "modality gap"},
}
NAMES = MEASURES["modalities"] | MEASURES["pairs"]


def answer(content: Content, inputs: Inputs) -> list[Block]:
    """Return one figure of all combinations."""
    rows = geometry_rows(content["results"])
    if not rows:
        return []
    plate = Plate("geometry", _caption(rows, inputs.largest()), partial(draw, rows), rows)
    warnings = alarms(content)
    notices = [Notice("Alarms", "; ".join(warnings))] if warnings else []
    return [plate, *gaps(content["results"]), *notices]


def geometry_rows(results: Content) -> list[dict[str, Any]]:
    """Return one row a combination, modality or pair, and measure."""
    return [
        {"combination": combination, "of": name, "n": values["n"], "measure": measure, "value": values[measure]}
        for combination, result in available(results).items()
        for group, measures in MEASURES.items()
        for name, values in available(result.get(group, {})).items()
        for measure in measures
    ]


def alarms(content: Content) -> list[str]:
    """Return what the analysis warns of, with the combination and the modality of every warning."""
    return [
        f"{combination}, {name}: {alarm}"
        for combination, group, name, values in leaves(content.get("results"), 3)
        if group == "modalities"
        for alarm in values.get("alarm") or []
    ]


def _caption(rows: Rows, largest: str | None) -> str:
    parts = []
    for measure, name in NAMES.items():
        of_measure = [row for row in rows if row["measure"] == measure and row["value"] is not None]
        values = [row for row in of_measure if row["combination"] == largest]
        if values:
            ends = [pick(values, key=lambda row: row["value"]) for pick in (min, max)]
            low, high = (f"{plain(row['value'])} ({row['of'].replace('->', ' and ')})" for row in ends)
            parts.append(f"{name} from {low} to {high}")
    combinations = counted(len({row["combination"] for row in rows}), "combination")
    head = f"{largest}: {', '.join(parts)}. " if parts else ""
    return f"{head}{combinations}, N = {span(row['n'] for row in rows)} test materials."


def draw(values: Rows) -> Any:
    """Draw one panel a measure; modalities are filled, pairs are open."""
    combinations = list(grouped(values, "combination"))
    pairs = [name for name in grouped(values, "of") if "->" in name]
    height = 1.8 + paint.ROW_INCH * len(combinations)
    figure, axes = paint.grid(len(NAMES), across=len(NAMES), row=height, sharey=True)
    for axis, (measure, title) in zip(axes, NAMES.items(), strict=True):
        for row in values:
            if row["measure"] == measure and row["value"] is not None:
                name, y = row["of"], combinations.index(row["combination"])
                look = (
                    {**paint.look(pairs.index(name)), "markerfacecolor": "white", "markeredgewidth": 1.3}
                    if name in pairs
                    else paint.modality_look(name)
                )
                label = name.replace("->", " and ")
                axis.plot(row["value"], y, linestyle="", markersize=5, label=label, **look)
        paint.finish(axis, title=title, title_size=paint.LABEL)
    paint.label_rows(axes[0], combinations)
    return paint.legend(figure, columns=5)
