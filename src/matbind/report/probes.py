"""What can be read from the embeddings by a linear probe, beside what the composition alone says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.modalities.combinations import parse_combination
from matbind.report import paint
from matbind.report.blocks import Block, Plate, Rows, Table, gaps, grouped, number
from matbind.report.inputs import Content, Inputs, available, bounds, leaves
from matbind.report.style import COLOURS, SOFT
from matbind.report.words import interval, phrase, readable, share, signed, span, state

FUSED = "fused"
BASELINE = "composition only"
GAIN = "gain_over_composition"


def answer(content: Content, inputs: Inputs) -> list[Block]:
    """Return the figure of one embedding a combination, and the table of all."""
    rows = probe_rows(content["results"])
    if not rows:
        return []
    baseline = available(content.get("baseline", {}))
    start = {"combination": BASELINE, "embedding": BASELINE}
    shown = [row for row in rows if row["embedding"] == representative(row["combination"])]
    data = [*rows, *({**start, "target": target, **_flat(result)} for target, result in baseline.items())]
    draw_shown = partial(draw, shown, content["targets"], baseline)
    plate = Plate("probes", _caption(content, rows, inputs.largest()), draw_shown, data)
    return [plate, *gaps(content["results"]), _table(rows)]


def representative(combination: str) -> str:
    """Return the embedding of a combination that stands for it: the only one of a single, else the fused one."""
    return combination if "+" not in combination else FUSED


def probe_rows(results: Content) -> list[dict[str, Any]]:
    """Return one row a combination, embedding and property."""
    rows = []
    for combination, embedding, target, result in leaves(results, 3):
        row = {"question": f"{target}: {combination}, {embedding}", "combination": combination}
        rows.append({**row, "embedding": embedding, "target": target, **_flat(result)})
    return sorted(rows, key=lambda row: len(parse_combination(row["combination"]).modalities))


def gains(content: Content, combination: str | None) -> dict[str, Content]:
    """Return the results of a combination's representative embedding, by property."""
    embeddings = available(content.get("results")).get(combination or "", {})
    return available(embeddings.get(representative(combination or ""), {}))


def _flat(result: Content) -> dict[str, Any]:
    names = ("metric", "value", "top_5", "r2", "majority", "chance", "n_train", "n_test", GAIN)
    return {name: result.get(name) for name in names} | bounds(result) | bounds(result, f"{GAIN}_ci95", of="gain_")


def _caption(content: Content, rows: Rows, largest: str | None) -> str:
    verdicts = {"better": "more than the composition", "worse": "less than the composition"}
    parts = []
    for target, result in gains(content, largest).items():
        baseline = available(content.get("baseline", {})).get(target)
        beside = f" against {share(baseline['value'])} by composition" if baseline else ""
        metric = "accuracy" if result["metric"] == "accuracy" else "mean absolute error"
        value = f"{share(result['value'])} {content['targets'][target]['unit']}".strip()
        verdict = verdicts.get(state(bounds(result, f"{GAIN}_ci95")), "no clear difference")
        parts.append(f"{readable(target)}: {metric} {value}{beside}, {verdict}")
    head = f"Fused embedding of {largest}. {'; '.join(parts)}. " if parts else ""
    sizes = [row["n_test"] for row in rows if row["n_test"]]
    return f"{head}{f'N = {span(sizes)} test materials. ' if sizes else ''}Bars are 95 % intervals."


def draw(results: Rows, properties: Mapping[str, Content], baseline: Mapping[str, Content]) -> Any:
    """Draw one panel a property, one row a combination; by property come its metric and unit, and its baselines."""
    names, by_target = list(grouped(results, "combination")), grouped(results, "target")
    targets = [target for target in properties if target in by_target]
    height = 1.5 + paint.ROW_INCH * len(names)
    figure, axes = paint.grid(len(targets), across=len(targets), row=height, sharey=True)
    for axis, target in zip(axes, targets, strict=True):
        levels = {"value": (COLOURS[1], "--", BASELINE), "majority": (SOFT, ":", "most frequent class or mean")}
        for key, (colour, line, label) in levels.items():
            level = baseline.get(target, {}).get(key)
            if level is not None:
                axis.axvline(level, color=colour, linestyle=line, linewidth=1.3, label=label)
        for row in by_target[target]:
            y = names.index(row["combination"])
            if row["low"] is not None:
                axis.plot([row["low"], row["high"]], [y, y], color=COLOURS[0], linewidth=1.4)
            axis.plot(row["value"], y, "o", color=COLOURS[0], markersize=4.5)
        unit = f" ({properties[target]['unit']})" if properties[target]["unit"] else ""
        accuracy = properties[target]["metric"] == "accuracy"
        label = f"accuracy{unit}\nhigher is better" if accuracy else f"MAE{unit}\nlower is better"
        title = readable(target).replace(" per atom", "\nper atom")
        paint.finish(axis, title=title, title_size=paint.LABEL, xlabel=label, lines="x")
    paint.label_rows(axes[0], names)
    return paint.legend(figure)


def _table(rows: Rows) -> Table:
    values = [
        [
            *(row["combination"], row["embedding"], readable(row["target"])),
            *("accuracy" if row["metric"] == "accuracy" else "MAE", row["value"], interval(row), row["majority"]),
            *(number(row[GAIN], signed), interval(row, "gain_"), row["n_test"]),
        ]
        for row in rows
    ]
    return Table("probe-table", phrase("table.probe-table.caption", n=len(rows)), values, folded=True)
