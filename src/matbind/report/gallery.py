"""How recall falls as the gallery grows, and where the paper's gallery is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Plate, gaps
from matbind.report.inputs import Content, Inputs, available, leaves
from matbind.report.style import SOFT
from matbind.report.words import phrase, share


def answer(content: Content, inputs: Inputs) -> list[Block]:
    """Return the curves of the combination of the most modalities."""
    results = available(content["results"])
    if not results:
        return []
    largest = inputs.largest()
    name = largest if largest in results else [*results][-1]
    pairs, paper = available(results[name]), content["paper_gallery_size"]
    draw_largest = partial(draw, pairs, paper)
    plate = Plate("gallery", f"{name}. {_caption(pairs, paper)}", draw_largest, gallery_rows(results))
    return [plate, *gaps(content["results"])]


def gallery_rows(results: Content) -> list[dict[str, Any]]:
    """Return one row a combination, pair and size; the gallery of all splits is one more row."""
    rows = []
    for combination, pair, result in leaves(results, 2):
        curve = zip(*(result[name] for name in ("size", "recall_at_1", "chance_at_1", "recall_at_1_ci95")), strict=True)
        points = [("test", *point, *ends) for *point, ends in curve]
        points += [
            ("all splits", wide["size"], wide["recall_at_1"], 1 / wide["size"], *wide["recall_at_1_ci95"])
            for wide in available({"": result.get("with_other_splits")}).values()
        ]
        start = {"combination": combination, "pair": pair, "kind": result["kind"]}
        columns = ("gallery", "size", "recall_at_1", "chance", "low", "high")
        rows += [start | dict(zip(columns, point, strict=True)) for point in points]
    return rows


def _all_splits(result: Content) -> list[tuple[int, float]]:
    """Return size and recall@1 of the gallery of all splits, if it was asked."""
    wide = available({"": result.get("with_other_splits")}).values()
    return [(gallery["size"], gallery["recall_at_1"]) for gallery in wide]


def _caption(pairs: Mapping[str, Content], paper: int) -> str:
    best = max(pairs, key=lambda pair: pairs[pair]["recall_at_1"][-1])
    sizes, recalls = pairs[best]["size"], pairs[best]["recall_at_1"]
    half = min(range(len(sizes)), key=lambda i: abs(sizes[i] - sizes[-1] / 8))
    points = [(sizes[half], recalls[half], ""), (sizes[-1], recalls[-1], "")]
    points += [(*point, " with the keys of all splits as distractors") for point in _all_splits(pairs[best])]
    text = ", ".join(f"{share(recall)} among {size}{which}" for size, recall, which in points)
    ratio = paper / sizes[-1]
    harder = phrase("figure.gallery.harder", ratio=ratio) if ratio > 1 else ""
    return phrase("figure.gallery.caption", best=best, points=text, paper=paper, harder=harder)


def draw(pairs: Mapping[str, Content], paper: int) -> Any:
    """Draw one panel a query."""
    by_query: dict[str, dict[str, Content]] = {}
    for pair, result in pairs.items():
        query, key = pair.split("->")
        by_query.setdefault(query, {})[key] = result
    figure, axes = paint.grid(len(by_query), across=2, row=2.6, rest=0.4, sharex=True, sharey=True)
    for axis, (query, by_key) in zip(axes, by_query.items(), strict=True):
        _curves(axis, by_key)
        axis.axvline(paper, color=SOFT, linewidth=1.4, linestyle="-.", label=f"the paper's gallery ({paper:,})")
        axis.set_xscale("log")
        axis.set_ylim(-0.03, 1.03)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        paint.finish(axis, title=f"{query} →", xlabel="materials in the gallery", ylabel="recall@1")
    return paint.legend(figure)


def _curves(axis: Any, by_key: Mapping[str, Content]) -> None:
    for key, result in by_key.items():
        look = paint.modality_look(key)
        dash = "--" if result["kind"] == "emergent" else "-"
        axis.plot(result["size"], result["recall_at_1"], dash, linewidth=1.5, markersize=3.5, label=f"→ {key}", **look)
        low, high = zip(*result["recall_at_1_ci95"], strict=True)
        axis.fill_between(result["size"], low, high, color=look["color"], alpha=0.13, linewidth=0)
        edge = {"markerfacecolor": "white", "markeredgewidth": 1.4, "linestyle": "", "markersize": 7, **look}
        for point in _all_splits(result):
            axis.plot(*point, **edge)
    first = next(iter(by_key.values()))
    axis.plot(first["size"], first["chance_at_1"], **paint.CHANCE, label="chance")
    axis.plot([], [], "o", color=SOFT, markerfacecolor="white", label="keys of all splits as distractors")
