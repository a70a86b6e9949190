"""The shape of the latent space: spread, dimension, and how far the modalities lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Section, gaps
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS
from matbind.report.words import counted, plain, span

TITLE = "What shape has the latent space?"
LEAD = (
    "Uniformity tells how evenly embeddings spread over the sphere (lower is more even), effective rank how many "
    "dimensions they use, alignment how far the modalities of one material lie apart (squared distance), and the "
    "modality gap how far the centres of two modalities do. A collapsed embedding raises an alarm."
)
MEASURES = {"uniformity": "uniformity", "effective_rank": "effective rank"}
PAIR_MEASURES = {"alignment": "alignment", "modality_gap": "modality gap"}


def section(inputs: Inputs) -> Section:
    """One figure of all combinations."""
    found = inputs.answers["geometry"]
    rows = geometry_rows(found)
    if not rows:
        return Section("geometry", TITLE, LEAD, [Notice("Geometry", reason(found) or reasons(found["results"]))])
    told = _caption(rows, inputs.largest())
    alt = f"Four panels, one row a combination, one marker a modality or pair. {told}"
    blocks: list[Block] = [Plate("geometry", "Geometry of every embedding", told, alt, partial(draw, rows), rows)]
    blocks += gaps(found["results"])
    warned = alarms(found)
    if warned:
        blocks.append(Notice("Alarms", "; ".join(warned)))
    return Section("geometry", TITLE, LEAD, blocks)


def geometry_rows(found: Content) -> list[dict[str, Any]]:
    """One row a combination, modality or pair, and measure."""
    if reason(found) is not None:
        return []
    rows = []
    for combination, result in available(found["results"]).items():
        for group, measures in (("modalities", MEASURES), ("pairs", PAIR_MEASURES)):
            for name, each in available(result.get(group, {})).items():
                start = {"combination": combination, "of": name, "n": each["n"]}
                rows += [{**start, "measure": measure, "value": each[measure]} for measure in measures]
    return rows


def alarms(found: Content) -> list[str]:
    """What the analysis warns of, each with its combination and modality."""
    if reason(found) is not None:
        return []
    return [
        f"{combination}, {name}: {alarm}"
        for combination, result in available(found["results"]).items()
        for name, each in available(result.get("modalities", {})).items()
        for alarm in each.get("alarm") or []
    ]


def _caption(rows: Sequence[Mapping[str, Any]], largest: str | None) -> str:
    own = [row for row in rows if row["combination"] == largest and row["value"] is not None]
    parts = []
    for measure, name in {**MEASURES, **PAIR_MEASURES}.items():
        values = [row for row in own if row["measure"] == measure]
        if values:
            low, high = (pick(values, key=lambda row: row["value"]) for pick in (min, max))
            ends = [f"{plain(row['value'])} ({' and '.join(row['of'].split('->'))})" for row in (low, high)]
            parts.append(f"{name} from {ends[0]} to {ends[1]}")
    n_combinations = len({row["combination"] for row in rows})
    sizes = span({row["n"] for row in rows})
    head = f"{largest}: {', '.join(parts)}. " if parts else ""
    return f"{head}{counted(n_combinations, 'combination')}, N = {sizes} test materials."


def draw(values: Sequence[Mapping[str, Any]]) -> Any:
    """One panel a measure."""
    names = list(dict.fromkeys(row["combination"] for row in values))
    pairs = list(dict.fromkeys(row["of"] for row in values if "->" in row["of"]))
    measures = {**MEASURES, **PAIR_MEASURES}
    figure, axes = paint.panels(1, len(measures), height=1.8 + paint.ROW_INCH * len(names), sharey=True)
    for axis, (measure, title) in zip(axes, measures.items(), strict=True):
        for row in values:
            if row["measure"] == measure and row["value"] is not None:
                look, label = _look(row["of"], pairs)
                y = names.index(row["combination"])
                axis.plot(row["value"], y, linestyle="", markersize=5, label=label, **look)
        paint.finish(axis, grid="both")
        axis.set_title(title, fontsize=paint.LABEL, loc="left")
    paint.rows(axes[0], names)
    paint.legend(figure, paint.handles_of(axes), columns=5)
    return figure


def _look(name: str, pairs: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Modalities are filled, pairs are open."""
    if "->" not in name:
        return paint.modality_look(name), name
    position = pairs.index(name)
    colour, marker = COLOURS[position % len(COLOURS)], paint.MARKERS[position % len(paint.MARKERS)]
    label = " and ".join(name.split("->"))
    return {"color": colour, "marker": marker, "markerfacecolor": "white", "markeredgewidth": 1.3}, label
