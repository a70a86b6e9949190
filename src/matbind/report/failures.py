"""What was found instead of the right material, and patterns that were mistaken for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Plate, Rows, Table, grouped, instead
from matbind.report.inputs import Content, Inputs, available, reason
from matbind.report.style import COLOURS, INK
from matbind.report.words import arrow, counted, readable, share, span

MEASURED = "pxrd"  # the modality whose mistakes are drawn
PALETTE = (*COLOURS[::-1], INK)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "--")
N_PATTERNS = 6
RELATIONS = ("same material", "same formula", "isovalent swap", "same prototype", "neither")  # closest first

Best = Mapping[str, tuple[str, Content]]
"""By pair the model that answers it best, and what that model failed at."""


def answer(content: Content, _: Inputs) -> list[Block]:
    """Return what was found instead, patterns taken for each other, and the worst answers."""
    failures = {name: available(result) for name, result in content["results"].items()}
    models = content.get("best_model", {}).items()
    best = {pair: (name, failures[name][pair]) for pair, name in models if pair in failures.get(name, {})}
    return [_relations(best), _patterns(content.get("patterns"), best), _table(best)] if best else []


def relation_rows(best: Best) -> list[dict[str, Any]]:
    """Return one row a pair and relation."""
    return [
        {"pair": pair, "combination": name, "relation": relation, "count": result["relations"][relation]}
        | {"n_failed": result["n_failed"], "n": result["n"], "chance": 1 / result["n"]}
        for pair, (name, result) in best.items()
        for relation in sorted(result["relations"], key=lambda name: (*RELATIONS, name).index(name))
    ]


def _relations(best: Best) -> Plate:
    rows = relation_rows(best)
    total = sum(result["n_failed"] for _, result in best.values())
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["relation"]] += row["count"]
    parts = [f"{readable(relation)} {100 * n / total:.0f} %" for relation, n in counts.items() if total and n]
    looser = [(pair, r) for pair, (_, r) in best.items() if r.get("recall_at_1_same_formula") is not None]
    pair, most = max(looser, key=lambda item: item[1]["recall_at_1_same_formula"] - item[1]["recall_at_1"])
    caption = (
        f"The best model of every pair. Of {counted(total, 'wrong answer')}: {', '.join(parts) or 'none'}. With any "
        f"material of the same formula counted as right, recall@1 of {arrow(pair)} would be "
        f"{share(most['recall_at_1_same_formula'])} instead of {share(most['recall_at_1'])} (chance "
        f"{most['chance_same_formula']:.2g}). N = {span(row['n'] for row in rows)}."
    )
    return Plate("failures", caption, partial(draw_relations, rows), rows)


def draw_relations(counts: Rows) -> Any:
    """Draw one stacked bar a pair, as shares of all queries."""
    labels = [f"{arrow(pair)} ({combination})" for pair, combination in grouped(counts, "pair", "combination")]
    pairs, relations = list(grouped(counts, "pair")), list(grouped(counts, "relation"))
    figure, axes = paint.panel(1.5 + 0.27 * len(pairs))
    left = dict.fromkeys(pairs, 0.0)
    for row in counts:
        pair, width, position = row["pair"], row["count"] / row["n"], relations.index(row["relation"])
        look = {"color": PALETTE[position % len(PALETTE)], "hatch": HATCHES[position % len(HATCHES)], "height": 0.68}
        look |= {"edgecolor": "white", "linewidth": 0.4, "label": readable(row["relation"])}
        axes.barh(pairs.index(pair), width, left=left[pair], **look)
        left[pair] += width
    paint.label_rows(axes, labels)
    axes.axvline(1 - counts[0]["chance"], **paint.CHANCE, label="failures by chance")
    axes.set_xlim(0, 1)
    paint.finish(axes, xlabel="share of all queries that found another material first", lines="x")
    return paint.legend(figure)


def _patterns(patterns: Content | None, best: Best) -> Block:
    why = reason(patterns)
    if why is not None or patterns is None:
        return instead("failure_patterns", str(why))
    mistakes = mistaken(patterns["intensity"], best)
    if not mistakes:
        return instead("failure_patterns", "No pattern was mistaken for another that was measured.")
    first = mistakes[0]
    caption = (
        f"The query's pattern (filled) and that of the material found (line), largest margins first, of "
        f"{arrow(first['pair'])} in {first['combination']}. First: {first['formula']} was asked, "
        f"{first['found_formula']} found ({first['relation']}); the right one has rank {first['rank']} of "
        f"N = {first['n']}."
    )
    shown = sorted({row[key] for row in mistakes for key in ("material_id", "found_id")})
    data = {
        "two_theta_deg": patterns["two_theta_deg"],
        "mistakes": mistakes,
        "intensity": {material: patterns["intensity"][material] for material in shown},
    }
    return Plate("failure_patterns", caption, partial(draw_patterns, data), data)


def mistaken(intensity: Mapping[str, Any], best: Best) -> list[dict[str, Any]]:
    """Return the worst answers to a pattern, of the pair with most, where both patterns are at hand.

    Args:
        intensity: patterns by material.
        best: see `Best`.
    """
    candidates = [
        [
            {**row, "pair": pair, "combination": name, "n": result["n"]}
            for row in result["worst"]
            if {row["material_id"], row["found_id"]} <= intensity.keys()
        ][:N_PATTERNS]
        for pair, (name, result) in best.items()
        if pair.startswith(f"{MEASURED}->")
    ]
    return max(candidates, key=len, default=[])


def draw_patterns(data: Mapping[str, Any]) -> Any:
    """Draw one panel a mistake."""
    mistakes, x = data["mistakes"], data["two_theta_deg"]
    figure, axes = paint.grid(len(mistakes), across=2, row=1.75, rest=0.6, sharex=True, sharey=True)
    for axis, row in zip(axes, mistakes, strict=True):
        asked, answered = (
            [float("nan") if y is None else y for y in data["intensity"][row[key]]]
            for key in ("material_id", "found_id")
        )
        axis.fill_between(x, asked, color=COLOURS[0], alpha=0.45, linewidth=0, label="asked")
        axis.plot(x, answered, color=COLOURS[1], linewidth=0.7, label="found instead")
        title = f"{row['formula']} → {row['found_formula']} ({row['relation']}), rank {row['rank']}"
        labels = {"xlabel": "2\N{GREEK SMALL LETTER THETA} (degree)", "ylabel": "intensity"}
        paint.finish(axis, title=title, title_size=paint.SMALL + 0.5, lines="x", **labels)
        axis.label_outer()
        axis.set_yticks([])
    return paint.legend(figure)


def _table(best: Best) -> Table:
    rows = [
        [
            *(arrow(pair), name),
            *(f"{row['formula']} ({row['material_id']})", f"{row['found_formula']} ({row['found_id']})"),
            *(row["relation"], row["rank"], row["margin"]),
            *(str(row.get(f"{who}prototype") or row.get(f"{who}space_group") or "unknown") for who in ("", "found_")),
        ]
        for pair, (name, result) in best.items()
        for row in result["worst"]
    ]
    columns = (
        *("question", "combination", "asked", "found instead", "relation", "*rank of the right one", "*margin"),
        *("prototype asked", "prototype found"),
    )
    caption = "Largest margins of every pair's best model."
    return Table("worst", "The worst answers", caption, columns, rows, folded=True)
