"""Figures 2 and 4: recall of every ordered pair under every combination."""

from __future__ import annotations

from functools import partial
from typing import Any

from matbind.report.blocks import Block, Cell, Notice, Plate, Table, Value
from matbind.report.heatmap import BASELINE, recall_figure
from matbind.report.inputs import Content, Inputs, bounds
from matbind.report.words import arrow, counted, listing, phrase, share, span

FIGURES = {1: "fig2_recall_at_1", 5: "fig4_recall_at_5"}
KINDS = ("aligned", "emergent", "view")


def answer(_: Content, inputs: Inputs) -> list[Block]:
    """Return heatmaps of recall@1 and recall@5, and the means of every combination."""
    entries = inputs.comparison["combinations"]
    failed = [name for name, entry in entries.items() if "error" in entry]
    plates = [_plate(inputs, k) for k in FIGURES] if entries else []
    notices = [Notice("Not trained", f"The training of {listing(failed)} failed.")] if failed else []
    return [*plates, *notices, _means(inputs)]


def best(inputs: Inputs, kind: str, k: int = 1) -> tuple[str, str, Content] | None:
    """Return combination, pair and result of the highest recall@k of one kind of pair."""
    return max(inputs.pairs(kind), key=lambda row: float(row[2][f"recall_at_{k}"]), default=None)


def galleries(inputs: Inputs) -> list[int]:
    """Return the sizes of the galleries of all pairs."""
    return [int(result["n"]) for _, _, result in inputs.pairs(*KINDS)]


def chance_levels(inputs: Inputs) -> str:
    """Write the smallest and the largest chance of recall@1."""
    return span((1 / n for n in galleries(inputs)), ".2g") if galleries(inputs) else "unknown"


def _plate(inputs: Inputs, k: int) -> Plate:
    baseline = [(BASELINE, pair, result) for pair, result in (inputs.comparison.get("baseline") or {}).items()]
    rows = [_row(*result, k=k) for result in (*inputs.pairs(*KINDS), *baseline)]
    return Plate(FIGURES[k], _caption(inputs, k), partial(recall_figure, inputs.comparison, k=k), rows)


def _row(name: str, pair: str, result: Content, *, k: int) -> dict[str, Any]:
    query, key = pair.split("->")
    row = {"question": f"{name}: {pair}", "combination": name, "query": query, "key": key}
    row |= {column: result[column] for column in ("kind", "n", f"recall_at_{k}")}
    row |= {"trainings": result["n_seeds"], "standard_deviation": result[f"recall_at_{k}_sd"]}
    return {**row, **bounds(result, f"recall_at_{k}_ci95"), "chance": result[f"chance_at_{k}"]}


def _caption(inputs: Inputs, k: int) -> str:
    recall = f"recall_at_{k}"
    parts = []
    for kind in ("aligned", "emergent"):
        top = best(inputs, kind, k)
        if top is not None:
            name, pair, result = top
            values = {"name": name, "pair": pair, "recall": result[recall], "ends": bounds(result, f"{recall}_ci95")}
            parts.append(phrase("figure.fig2_recall_at_1.best", kind=kind, **values))
    weak = min(inputs.pairs("aligned"), key=lambda row: float(row[2][recall]), default=None)
    if weak is not None:
        parts.append(f"The weakest aligned pair is {arrow(weak[1])} of {weak[0]}: {share(weak[2][recall])}.")
    name, baseline = inputs.largest() or "", inputs.comparison.get("baseline") or {}
    pairs = inputs.trained()[name]["pairs"] if name else {}
    both = [pair for pair in pairs if pair in baseline]
    if both:
        above = sum(pairs[pair][recall] > baseline[pair][recall] for pair in both)
        parts.append(f"{above} of {counted(len(both), 'pair')} of {name} are above the linear baseline.")
    sizes = galleries(inputs)
    if sizes:
        parts.append(f"N = {span(sizes)} test materials; chance {span((min(1.0, k / n) for n in sizes), '.2g')}.")
    return " ".join(parts) or "No combination was evaluated."


def _means(inputs: Inputs) -> Table:
    rows: list[list[Value]] = []
    for name, entry in inputs.trained().items():
        results = list(entry["pairs"].values())
        sizes = [float(result["n"]) for result in results]
        chance = max(float(result["chance_at_1"]) for result in results)
        row = [name, entry["hub"], Cell(span(sizes), max(sizes)), Cell(span((1 / n for n in sizes), ".2g"), chance)]
        for kind, k in ((kind, k) for kind in KINDS for k in (1, 5) if (kind, k) != ("view", 5)):
            recalls = [result[f"recall_at_{k}"] for result in results if result["kind"] == kind]
            row.append(sum(recalls) / len(recalls) if recalls else None)
        rows.append(row)
    return Table("means", phrase("table.means.caption"), rows)
