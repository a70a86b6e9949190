"""What can be read from the embeddings by a linear probe, beside what the composition alone tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.modalities.combinations import parse_combination
from matbind.report import paint
from matbind.report.blocks import Cell, Notice, Plate, Section, Table, gaps, number
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import counted, interval, readable, share, signed, span

FUSED = "fused"
BASELINE = "composition only"
TITLE = "What does the latent space know?"
LEAD = (
    "A linear probe reads a property from an embedding. It is compared with the same probe on element fractions alone, "
    "so that only what goes beyond the composition counts. Fused is the mean of the embeddings of all modalities."
)


def section(inputs: Inputs) -> Section:
    """The figure of one embedding a combination, and the table of all."""
    found = inputs.answers["probes"]
    rows = probe_rows(found)
    if not rows:
        why = reason(found) or reasons(found["results"])
        return Section("probes", TITLE, LEAD, [Notice("Probes", why)])
    told = _caption(found, inputs)
    plate = Plate(
        name="probes",
        title="Probes against the composition",
        caption=told,
        alt=f"One panel a property, one row a combination, a dashed line for the composition alone. {told}",
        draw=partial(draw, [row for row in rows if row["embedding"] == shown(row["combination"])], lines(found)),
        data=[*rows, *_baseline_rows(found)],
    )
    return Section("probes", TITLE, LEAD, [plate, *gaps(found["results"]), _table(rows)])


def shown(combination: str) -> str:
    """The embedding of a combination that stands for it: its own for a single, else the fused one."""
    return combination if "+" not in combination else FUSED


def probe_rows(found: Content) -> list[dict[str, Any]]:
    """One row a combination, embedding and property."""
    if reason(found) is not None:
        return []
    rows = []
    for combination, embeddings in available(found["results"]).items():
        for embedding, targets in available(embeddings).items():
            for target, result in available(targets).items():
                row = {"question": f"{target}: {combination}, {embedding}", "combination": combination}
                rows.append({**row, "embedding": embedding, "target": target, **_flat(result)})
    return sorted(rows, key=lambda row: len(parse_combination(row["combination"]).modalities))


def lines(found: Content) -> dict[str, dict[str, Any]]:
    """By property: name of the metric, unit, the composition's value, and that of no knowledge."""
    told = {}
    for target, each in found["targets"].items():
        baseline = available(found.get("baseline", {})).get(target, {})
        value, nothing = baseline.get("value"), baseline.get("majority")
        told[target] = {"metric": each["metric"], "unit": each["unit"], "baseline": value, "nothing": nothing}
    return told


def gains(found: Content, combination: str | None) -> dict[str, Content]:
    """The results of a combination's representative embedding, by property."""
    if combination is None or reason(found) is not None:
        return {}
    embeddings = available(found["results"]).get(combination, {})
    return available(available(embeddings).get(shown(combination), {}))


def _flat(result: Content) -> dict[str, Any]:
    low, high = result.get("ci95") or (None, None)
    gain_low, gain_high = result.get("gain_over_composition_ci95") or (None, None)
    names = ("metric", "value", "top_5", "r2", "majority", "chance", "n_train", "n_test", "gain_over_composition")
    return {name: result.get(name) for name in names} | {
        "low": low,
        "high": high,
        "gain_low": gain_low,
        "gain_high": gain_high,
    }


def _baseline_rows(found: Content) -> list[dict[str, Any]]:
    return [
        {"combination": BASELINE, "embedding": BASELINE, "target": target, **_flat(result)}
        for target, result in available(found.get("baseline", {})).items()
    ]


def _caption(found: Content, inputs: Inputs) -> str:
    parts = []
    for target, result in gains(found, inputs.largest()).items():
        unit = found["targets"][target]["unit"]
        baseline = available(found.get("baseline", {})).get(target)
        beside = f" against {share(baseline['value'])} by composition" if baseline else ""
        bounds = result.get("gain_over_composition_ci95")
        verdict = {"better": "more than the composition", "worse": "less than the composition"}.get(
            paint.state(*bounds) if bounds else "", "no clear difference"
        )
        metric = "accuracy" if result["metric"] == "accuracy" else "mean absolute error"
        value = f"{share(result['value'])} {unit}".strip()
        parts.append(f"{readable(target)}: {metric} {value}{beside}, {verdict}")
    sizes = [row["n_test"] for row in probe_rows(found) if row["n_test"]]
    tail = f" N = {span(sizes)} test materials." if sizes else ""
    head = f"Fused embedding of {inputs.largest()}. " if parts else ""
    return f"{head}{'; '.join(parts)}{'.' * bool(parts)}{tail} Bars are 95 % intervals.".strip()


def draw(results: Sequence[Mapping[str, Any]], levels: Mapping[str, Mapping[str, Any]]) -> Any:
    """One panel a property, one row a combination."""
    names = list(dict.fromkeys(each["combination"] for each in results))
    targets = [target for target in levels if any(each["target"] == target for each in results)]
    figure, axes = paint.panels(1, len(targets), height=1.5 + paint.ROW_INCH * len(names), sharey=True)
    for axis, target in zip(axes, targets, strict=True):
        level = levels[target]
        for name, colour, line in (("baseline", COLOURS[1], "--"), ("nothing", paint.SOFT, ":")):
            if level[name] is not None:
                label = {"baseline": BASELINE, "nothing": "most frequent class or mean"}[name]
                axis.axvline(level[name], color=colour, linestyle=line, linewidth=1.3, label=label)
        for each in results:
            if each["target"] == target:
                y = names.index(each["combination"])
                if each["low"] is not None:
                    axis.plot([each["low"], each["high"]], [y, y], color=COLOURS[0], linewidth=1.4)
                axis.plot(each["value"], y, "o", color=COLOURS[0], markersize=4.5)
        better = "higher is better" if level["metric"] == "accuracy" else "lower is better"
        unit = f" ({level['unit']})" if level["unit"] else ""
        metric = "accuracy" if level["metric"] == "accuracy" else "MAE"
        paint.finish(axis, xlabel=f"{metric}{unit}\n{better}", grid="x")
        axis.set_title(readable(target).replace(" per atom", "\nper atom"), fontsize=paint.LABEL, loc="left", color=INK)
    paint.rows(axes[0], names)
    paint.legend(figure, paint.handles_of(axes))
    return figure


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        [
            Cell(row["combination"]),
            Cell(row["embedding"]),
            Cell(readable(row["target"])),
            Cell("accuracy" if row["metric"] == "accuracy" else "MAE"),
            number(row["value"]),
            Cell(interval((row["low"], row["high"]))),
            number(row["majority"]),
            number(g := row["gain_over_composition"], None if g is None else signed(g)),
            Cell(interval((row["gain_low"], row["gain_high"]))),
            number(row["n_test"], str(row["n_test"])),
        ]
        for row in rows
    ]
    columns = (
        *("combination", "embedding", "property", "metric", "*value", "95 % interval", "*majority or mean"),
        *("*gain over composition", "95 % interval of the gain", "*N"),
    )
    caption = (
        f"{counted(len(cells), 'probe')}. A gain above 0 is better than composition alone, whatever the metric "
        "(accuracy: difference; MAE: composition's error less the probe's)."
    )
    return Table("probe-table", "All probes", caption, columns, cells, folded=True)
