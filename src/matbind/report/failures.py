"""What was found instead of the right material, and patterns that were mistaken for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Cell, Notice, Plate, Section, Table, number
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import arrow, counted, readable, share, span

TITLE = "Where does it fail, and why?"
LEAD = (
    "A wrong answer may be nearly right: the same formula, the same structure with chemically similar elements, or the "
    "same prototype. The margin is how much more similar the wrong material was than the right one."
)
PALETTE = (*COLOURS[::-1], INK)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "--")
N_PATTERNS = 6
RELATIONS = ("same material", "same formula", "isovalent swap", "same prototype", "neither")  # closest first


def section(inputs: Inputs) -> Section:
    """What was found instead, patterns taken for each other, and the worst answers."""
    found = inputs.answers["failures"]
    results = _best(found)
    if not results:
        why = reason(found) or reasons(found["results"])
        return Section("failures", TITLE, LEAD, [Notice("Failures", why)])
    blocks: list[Block] = [_relations(results)]
    return Section("failures", TITLE, LEAD, [*blocks, _patterns(found, results), _table(results)])


def _best(found: Content) -> dict[str, tuple[str, Content]]:
    """Of every pair its best model and that model's failures."""
    if reason(found) is not None:
        return {}
    chosen = {}
    for pair, name in found.get("best_model", {}).items():
        result = available(found["results"].get(name, {})).get(pair)
        if result is not None:
            chosen[pair] = (name, result)
    return chosen


def relation_rows(results: Mapping[str, tuple[str, Content]]) -> list[dict[str, Any]]:
    """One row a pair and relation."""
    return [
        {
            "pair": pair,
            "combination": name,
            "relation": relation,
            "count": count,
            "n_failed": each["n_failed"],
            "n": each["n"],
            "chance": 1 / each["n"],
        }
        for pair, (name, each) in results.items()
        for relation, count in sorted(each["relations"].items(), key=lambda item: _closeness(item[0]))
    ]


def _closeness(relation: str) -> int:
    return RELATIONS.index(relation) if relation in RELATIONS else len(RELATIONS)


def _relations(results: Mapping[str, tuple[str, Content]]) -> Plate:
    rows = relation_rows(results)
    total = sum(each["n_failed"] for _, each in results.values())
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["relation"]] = counts.get(row["relation"], 0) + row["count"]
    parts = [f"{readable(name)} {100 * n / total:.0f} %" for name, n in counts.items() if total and n]
    looser = [(pair, each) for pair, (_, each) in results.items() if each.get("recall_at_1_same_formula") is not None]
    pair, most = max(looser, key=lambda item: item[1]["recall_at_1_same_formula"] - item[1]["recall_at_1"])
    told = (
        f"The best model of every pair. Of {counted(total, 'wrong answer')}: {', '.join(parts) or 'none'}. With any "
        f"material of the same formula counted as right, recall@1 of {arrow(pair)} would be "
        f"{share(most['recall_at_1_same_formula'])} instead of {share(most['recall_at_1'])} (chance "
        f"{most['chance_same_formula']:.2g}). N = {span(row['n'] for row in rows)}."
    )
    alt = f"Stacked bars, one a pair, of what was found instead. {told}"
    return Plate("failures", "What was found instead", told, alt, partial(draw_relations, rows), rows)


def draw_relations(counts: Sequence[Mapping[str, Any]]) -> Any:
    """One stacked bar a pair, as shares of all queries."""
    pairs = list(dict.fromkeys(row["pair"] for row in counts))
    relations = list(dict.fromkeys(row["relation"] for row in counts))
    figure, [axes] = paint.panels(1, 1, height=1.5 + 0.27 * len(pairs))
    labels = []
    for y, pair in enumerate(pairs):
        own = [row for row in counts if row["pair"] == pair]
        n, left = own[0]["n"], 0.0
        labels.append(f"{arrow(pair)} ({own[0]['combination']})")
        for row in own:
            position = relations.index(row["relation"])
            look = {"color": PALETTE[position % len(PALETTE)], "hatch": HATCHES[position % len(HATCHES)]}
            width = row["count"] / n
            axes.barh(
                y,
                width,
                left=left,
                height=0.68,
                edgecolor="white",
                linewidth=0.4,
                label=readable(row["relation"]),
                **look,
            )
            left += width
    paint.rows(axes, labels)
    axes.axvline(1 - counts[0]["chance"], **paint.CHANCE, label="failures by chance")
    axes.set_xlim(0, 1)
    paint.finish(axes, xlabel="share of all queries that found another material first", grid="x")
    paint.legend(figure, paint.handles_of([axes]), columns=4)
    return figure


def _patterns(found: Content, results: Mapping[str, tuple[str, Content]]) -> Block:
    title = "Patterns taken for each other"
    patterns = found.get("patterns")
    why = reason(patterns)
    if why is not None or patterns is None:
        return Notice(title, str(why))
    mistakes = mistaken(patterns, results)
    if not mistakes:
        return Notice(title, "No pattern was mistaken for another that was measured.")
    most = mistakes[0]
    told = (
        f"The query's pattern (filled) and that of the material found (line), largest margins first, of "
        f"{arrow(most['pair'])} in {most['combination']}. First: {most['formula']} was asked, {most['found_formula']} "
        f"found ({most['relation']}); the right one has rank {most['rank']} of N = {most['n']}."
    )
    shown = sorted({each[key] for each in mistakes for key in ("material_id", "found_id")})
    data = {
        "two_theta_deg": patterns["two_theta_deg"],
        "mistakes": mistakes,
        "intensity": {each: patterns["intensity"][each] for each in shown},
    }
    alt = f"One panel a mistake with two diffraction patterns over each other. {told}"
    return Plate("failure_patterns", title, told, alt, partial(draw_patterns, data), data)


def mistaken(patterns: Content, results: Mapping[str, tuple[str, Content]]) -> list[dict[str, Any]]:
    """The worst answers to a pattern, of the pair with most, where both patterns are at hand."""
    candidates = []
    for pair, (name, each) in results.items():
        if pair.startswith("pxrd->"):
            shown = [
                row for row in each["worst"] if {row["material_id"], row["found_id"]} <= set(patterns["intensity"])
            ]
            candidates.append(
                [{**row, "pair": pair, "combination": name, "n": each["n"]} for row in shown[:N_PATTERNS]]
            )
    return max(candidates, key=len, default=[])


def draw_patterns(data: Mapping[str, Any]) -> Any:
    """One panel a mistake."""
    mistakes = data["mistakes"]
    columns = min(2, len(mistakes))
    lines = -(-len(mistakes) // columns)
    figure, axes = paint.panels(lines, columns, height=1.75 * lines + 0.6, sharex=True, sharey=True)
    x = data["two_theta_deg"]
    for axis, each in zip(axes, mistakes, strict=False):
        asked, answer = (
            [float("nan") if y is None else y for y in data["intensity"][each[key]]]
            for key in ("material_id", "found_id")
        )
        axis.fill_between(x, asked, color=COLOURS[0], alpha=0.45, linewidth=0, label="asked")
        axis.plot(x, answer, color=COLOURS[1], linewidth=0.7, label="found instead")
        title = f"{each['formula']} → {each['found_formula']} ({each['relation']}), rank {each['rank']}"
        paint.finish(axis, xlabel="2\N{GREEK SMALL LETTER THETA} (degree)", ylabel="intensity", grid="x")
        axis.set_title(title, fontsize=paint.SMALL + 0.5, loc="left")
        axis.label_outer()
        axis.set_yticks([])
    paint.hide(axes[len(mistakes) :])
    paint.legend(figure, paint.handles_of(axes))
    return figure


def _curve(intensity: Sequence[float | None]) -> list[float]:
    return [float("nan") if each is None else each for each in intensity]


def _table(results: Mapping[str, tuple[str, Content]]) -> Table:
    rows = [
        [
            Cell(arrow(pair)),
            Cell(name),
            Cell(f"{each['formula']} ({each['material_id']})"),
            Cell(f"{each['found_formula']} ({each['found_id']})"),
            Cell(each["relation"]),
            number(float(each["rank"]), str(each["rank"])),
            number(each["margin"]),
            Cell(f"{each.get('prototype') or each.get('space_group') or 'unknown'}"),
            Cell(f"{each.get('found_prototype') or each.get('found_space_group') or 'unknown'}"),
        ]
        for pair, (name, result) in results.items()
        for each in result["worst"]
    ]
    columns = (
        *("question", "combination", "asked", "found instead", "relation", "*rank of the right one", "*margin"),
        *("prototype asked", "prototype found"),
    )
    return Table(
        "worst", "The worst answers", "Largest margins of every pair's best model.", columns, rows, folded=True
    )
