"""Figures 2 and 4: recall of every ordered pair under every combination."""

from __future__ import annotations

from functools import partial
from typing import Any

from matbind.modalities.combinations import parse_combination
from matbind.report.blocks import Cell, Notice, Plate, Section, Table, number
from matbind.report.inputs import Content, Inputs
from matbind.report.style import recall_figure
from matbind.report.words import arrow, chance, counted, interval, listing, share, span

FIGURES = {1: "fig2_recall_at_1", 5: "fig4_recall_at_5"}
LEAD = (
    "A material of the test split is asked for with one modality, and looked for among all embeddings of another. "
    "Aligned pairs include the hub and were seen in training; emergent pairs were not. Ties count against the model."
)


def section(inputs: Inputs) -> Section:
    """Heatmaps of recall@1 and recall@5, and the means of every combination."""
    blocks = [plate(inputs, k=k) for k in FIGURES] if inputs.comparison["combinations"] else []
    failed = [name for name, each in inputs.comparison["combinations"].items() if "error" in each]
    told = [Notice("Not trained", f"The training of {listing(failed)} failed.")] if failed else []
    return Section("retrieval", "Does one modality find another?", LEAD, [*blocks, *told, _means(inputs)])


def plate(inputs: Inputs, *, k: int) -> Plate:
    """One heatmap."""
    caption = _caption(inputs, k)
    return Plate(
        name=FIGURES[k],
        title=f"Recall@{k} of every pair under every combination (Figure {FIGURES[k][3]} of the paper)",
        caption=caption,
        alt=f"Heatmap: combinations down, ordered pairs across, recall@{k} in every cell. {caption}",
        draw=partial(recall_figure, inputs.comparison, k=k),
        data=pair_rows(inputs, k=k),
    )


def pair_rows(inputs: Inputs, *, k: int) -> list[dict[str, Any]]:
    """Recall@k of every pair, one row each, the baseline's last."""
    rows = [_row(name, pair, result, k=k) for name, pair, result in inputs.pairs(*_KINDS)]
    baseline = inputs.comparison.get("baseline") or {}
    return rows + [_row("linear baseline", pair, result, k=k) for pair, result in baseline.items()]


_KINDS = ("aligned", "emergent", "view")


def best(inputs: Inputs, kind: str, k: int = 1) -> tuple[str, str, Content] | None:
    """Combination, pair and result of the highest recall@k of one kind of pair."""
    return max(inputs.pairs(kind), key=lambda each: float(each[2][f"recall_at_{k}"]), default=None)


def galleries(inputs: Inputs) -> list[int]:
    """Sizes of the galleries of all pairs."""
    return [int(result["n"]) for _, _, result in inputs.pairs(*_KINDS)]


def _row(name: str, pair: str, result: Content, *, k: int) -> dict[str, Any]:
    query, key = pair.split("->")
    low, high = result.get(f"recall_at_{k}_ci95") or (None, None)
    return {
        "question": f"{name}: {pair}",
        "combination": name,
        "query": query,
        "key": key,
        "kind": result["kind"],
        "n": result["n"],
        f"recall_at_{k}": result[f"recall_at_{k}"],
        "low": low,
        "high": high,
        "chance": result[f"chance_at_{k}"],
    }


def _caption(inputs: Inputs, k: int) -> str:
    parts = []
    for kind in ("aligned", "emergent"):
        found = best(inputs, kind, k)
        if found is not None:
            name, pair, result = found
            value, bounds = result[f"recall_at_{k}"], result.get(f"recall_at_{k}_ci95")
            parts.append(
                f"The best {kind} pair is {arrow(pair)} of {name}: {share(value)} (95 % interval {interval(bounds)})."
            )
    weak = min(inputs.pairs("aligned"), key=lambda each: float(each[2][f"recall_at_{k}"]), default=None)
    if weak is not None:
        parts.append(f"The weakest aligned pair is {arrow(weak[1])} of {weak[0]}: {share(weak[2][f'recall_at_{k}'])}.")
    above, n, baseline = _above_baseline(inputs, k)
    if n:
        parts.append(f"{above} of {counted(n, 'pair')} of {baseline} are above the linear baseline.")
    sizes = galleries(inputs)
    if sizes:
        parts.append(f"N = {span(sizes)} test materials; chance {span((min(1.0, k / n) for n in sizes), '.2g')}.")
    return " ".join(parts) or "No combination was evaluated."


def _above_baseline(inputs: Inputs, k: int) -> tuple[int, int, str]:
    name, baseline = inputs.largest(), inputs.comparison.get("baseline") or {}
    if name is None:
        return 0, 0, ""
    pairs = inputs.trained()[name]["pairs"]
    both = [pair for pair in pairs if pair in baseline]
    recall = f"recall_at_{k}"
    return sum(pairs[pair][recall] > baseline[pair][recall] for pair in both), len(both), name


def _means(inputs: Inputs) -> Table:
    rows = []
    for name, entry in inputs.trained().items():
        results = list(entry["pairs"].values())
        sizes = [float(each["n"]) for each in results]
        cells = [Cell(name), Cell(entry["hub"]), Cell(span(sizes), max(sizes))]
        cells.append(number(max(each["chance_at_1"] for each in results), span((1 / n for n in sizes), ".2g")))
        for kind in _KINDS:
            own = [each for each in results if each["kind"] == kind]
            recalls = ("recall_at_1",) if kind == "view" else ("recall_at_1", "recall_at_5")
            cells += [number(sum(each[recall] for each in own) / len(own) if own else None) for recall in recalls]
        rows.append(cells)
    columns = (
        *("combination", "hub", "*N", "*chance", "*aligned recall@1", "*aligned recall@5"),
        *("*emergent recall@1", "*emergent recall@5", "*two views recall@1"),
    )
    caption = "Means over the ordered pairs of each kind. Two views of one modality are an easier question, kept apart."
    return Table("means", "Mean recall of every combination", caption, columns, rows)


def chance_levels(inputs: Inputs) -> str:
    """Smallest and largest chance of recall@1."""
    sizes = galleries(inputs)
    return " to ".join(dict.fromkeys(chance(1 / n) for n in (max(sizes), min(sizes)))) if sizes else "unknown"


def order(names: Any) -> list[str]:
    """Combinations, small ones first."""
    return sorted(names, key=lambda name: (len(parse_combination(name).modalities), name))
