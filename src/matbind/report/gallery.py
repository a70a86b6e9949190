"""How recall falls as the gallery grows, and where the paper's gallery is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Notice, Plate, Section, gaps
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.words import arrow, counted, share

TITLE = "What does the size of the gallery do?"
LEAD = (
    "Recall is easier among few materials than among many, so recalls of different galleries cannot be compared as "
    "they are. The curve is the expected recall@1 among random galleries of each size."
)


def section(inputs: Inputs) -> Section:
    """The curves of the combination of the most modalities."""
    found = inputs.answers["gallery"]
    why = reason(found)
    results = {} if why else available(found["results"])
    name = inputs.largest() if inputs.largest() in results else next(reversed(results), None)
    if name is None:
        return Section("gallery", TITLE, LEAD, [Notice("Gallery size", why or reasons(found["results"]))])
    told = _caption(name, results[name], found["paper_gallery_size"])
    plate = Plate(
        name="gallery",
        title="Recall@1 against the size of the gallery",
        caption=told,
        alt=f"One panel a query, one curve a key, the paper's gallery as a vertical line, chance dotted. {told}",
        draw=partial(draw, results[name], found["paper_gallery_size"]),
        data=gallery_rows(results),
    )
    return Section("gallery", TITLE, LEAD, [plate, *gaps(found["results"])])


def gallery_rows(results: Mapping[str, Content]) -> list[dict[str, Any]]:
    """One row a combination, pair and size; the gallery of all splits has a row of its own."""
    rows = []
    for combination, pairs in results.items():
        for pair, each in available(pairs).items():
            start = {"combination": combination, "pair": pair, "kind": each["kind"]}
            points = zip(each["size"], each["recall_at_1"], each["chance_at_1"], strict=True)
            rows += [
                {**start, "gallery": "test", "size": size, "recall_at_1": recall, "chance": level}
                for size, recall, level in points
            ]
            wide = each.get("with_other_splits")
            if wide and reason(wide) is None:
                size, recall = wide["size"], wide["recall_at_1"]
                rows.append({**start, "gallery": "all splits", "size": size, "recall_at_1": recall, "chance": 1 / size})
    return rows


def _caption(name: str, pairs: Content, paper: int) -> str:
    own = available(pairs)
    best = max(own, key=lambda pair: own[pair]["recall_at_1"][-1])
    each = own[best]
    half = min(range(len(each["size"])), key=lambda i: abs(each["size"][i] - each["size"][-1] / 8))
    text = (
        f"{name}. {arrow(best)}: {share(each['recall_at_1'][half])} among {each['size'][half]}, "
        f"{share(each['recall_at_1'][-1])} among {each['size'][-1]}"
    )
    wide = each.get("with_other_splits")
    if wide and reason(wide) is None:
        text += f", {share(wide['recall_at_1'])} among {wide['size']} with the keys of all splits as distractors"
    ratio = paper / each["size"][-1]
    return (
        f"{text}. The paper's gallery is of at most {counted(paper, 'material')}, {ratio:.0f} times this test split: "
        "its recalls were the harder ones to reach."
        if ratio > 1
        else f"{text}. The paper's gallery is of at most {counted(paper, 'material')}."
    )


def draw(pairs: Mapping[str, Any], paper: int) -> Any:
    """One panel a query."""
    own = available(pairs)
    queries = list(dict.fromkeys(pair.split("->")[0] for pair in own))
    columns = min(2, len(queries))
    lines = -(-len(queries) // columns)
    figure, axes = paint.panels(lines, columns, height=2.6 * lines + 0.4, sharex=True, sharey=True)
    for axis, query in zip(axes, queries, strict=False):
        _query(axis, [(pair, each) for pair, each in own.items() if pair.split("->")[0] == query])
        axis.axvline(paper, color=paint.SOFT, linewidth=1.4, linestyle="-.", label=f"the paper's gallery ({paper:,})")
        axis.set_xscale("log")
        axis.set_ylim(-0.03, 1.03)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        paint.finish(axis, title=f"{query} →", xlabel="materials in the gallery", ylabel="recall@1")
    paint.hide(axes[len(queries) :])
    paint.legend(figure, paint.handles_of(axes), columns=4)
    return figure


def _query(axis: Any, pairs: Sequence[tuple[str, Content]]) -> None:
    for pair, each in pairs:
        key = pair.split("->")[1]
        look = paint.modality_look(key)
        dash = "--" if each["kind"] == "emergent" else "-"
        axis.plot(each["size"], each["recall_at_1"], dash, linewidth=1.5, markersize=3.5, label=f"→ {key}", **look)
        wide = each.get("with_other_splits")
        if wide and reason(wide) is None:
            edge = {"markerfacecolor": "white", "markeredgewidth": 1.4, "linestyle": "", "markersize": 7, **look}
            axis.plot(wide["size"], wide["recall_at_1"], **edge)
    each = pairs[0][1]
    axis.plot(each["size"], each["chance_at_1"], **paint.CHANCE, label="chance")
    axis.plot([], [], "o", color=paint.SOFT, markerfacecolor="white", label="keys of all splits as distractors")
