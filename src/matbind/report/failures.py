"""What was found instead of the right material, and patterns that were mistaken for each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Plate, Rows, Table, grouped, instead
from matbind.report.inputs import Content, Inputs, available, reason
from matbind.report.style import COLOURS, INK
from matbind.report.words import arrow, phrase, readable

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
    counts = {name: sum(row["count"] for row in of) for name, of in grouped(rows, "relation").items()}
    parts = [f"{readable(relation)} {100 * n / total:.0f} %" for relation, n in counts.items() if total and n]
    looser = [(pair, r) for pair, (_, r) in best.items() if r.get("recall_at_1_same_formula") is not None]
    pair, most = max(looser, key=lambda item: item[1]["recall_at_1_same_formula"] - item[1]["recall_at_1"])
    kinds, sizes = ", ".join(parts) or "none", [row["n"] for row in rows]
    caption = phrase("figure.failures.caption", total=total, kinds=kinds, pair=pair, most=most, sizes=sizes)
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
    if patterns is None or reason(patterns):
        return instead("failure_patterns", reason(patterns))
    mistakes = mistaken(patterns["intensity"], best)
    if not mistakes:
        return instead("failure_patterns")
    shown = sorted({row[key] for row in mistakes for key in ("material_id", "found_id")})
    intensity = {material: patterns["intensity"][material] for material in shown}
    data = {"two_theta_deg": patterns["two_theta_deg"], "mistakes": mistakes, "intensity": intensity}
    caption = phrase("figure.failure_patterns.caption", first=mistakes[0])
    return Plate("failure_patterns", caption, partial(draw_patterns, data), data)


def mistaken(intensity: Mapping[str, Any], best: Best) -> list[dict[str, Any]]:
    """Return the worst answers to a pattern, of the pair with most; `intensity` has both patterns, by material."""
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
        pair = (data["intensity"][row[key]] for key in ("material_id", "found_id"))
        asked, answered = ([float("nan") if y is None else y for y in pattern] for pattern in pair)
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
    return Table("worst", phrase("table.worst.caption"), rows, folded=True)
