"""Figures 5 and 6: t-SNE and PCA of the crystal embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, Section
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import counted, listing

LABEL = "perovskite_abx3"
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
TITLE = "How do the materials lie?"
LEAD = (
    "The crystal embeddings in two dimensions. t-SNE keeps neighbours together, but its distances and the sizes of its "
    "islands mean nothing; PCA is a straight projection, and says how much of the spread it shows."
)
METHODS = {"tsne": ("tsne_x", "tsne_y"), "pca": ("pca_1", "pca_2")}
OTHER = {"color": "#8b919b", "marker": "o", "s": 9, "linewidths": 0}
PEROVSKITE = {"color": COLOURS[1], "marker": "^", "s": 16, "linewidths": 0}

Points = dict[str, list[Any]]


def section(inputs: Inputs) -> Section:
    """The judged ABX3 compounds of every combination by both methods, and the test split by crystal system."""
    found = inputs.answers["maps"]
    why = reason(found)
    if why is None and inputs.maps is None:
        why = "maps.parquet is not there, the analyse stage did not write it"
    if why is not None or inputs.maps is None:
        return Section("maps", TITLE, LEAD, [Notice("Maps", str(why))])
    blocks: list[Block] = [_labelled(found, inputs.maps, method) for method in METHODS]
    blocks.append(_systems(found, inputs))
    return Section("maps", TITLE, LEAD, blocks)


def read_points(table: Path, *, sample: str, columns: tuple[str, str], label: str) -> dict[str, Points]:
    """Of every combination the materials of a sample that have a place: ``material_id``, x, y and label."""
    import polars as pl

    wanted = ["combination", "material_id", "formula", *columns, label]
    frame = pl.read_parquet(table, columns=[*wanted, "sample"]).filter(pl.col("sample") == sample).drop("sample")
    frame = frame.drop_nulls(list(columns))
    return {
        str(key[0]): part.drop("combination").to_dict(as_series=False)
        for key, part in frame.partition_by("combination", as_dict=True, maintain_order=True).items()
    }


def _labelled(found: Content, table: Path, method: str) -> Block:
    number, name = {"tsne": (5, "t-SNE"), "pca": (6, "PCA")}[method]
    title = f"{name} of the ABX3 compounds (Figure {number} of the paper)"
    results = found["results"].get("abx3", {})
    points = read_points(table, sample="abx3", columns=METHODS[method], label=LABEL)
    points = {each: own for each, own in points.items() if each in available(results)}
    if not points:
        starts = {name: each.get("tsne") for name, each in available(results).items()}
        return Notice(title, reasons(starts or results))
    first = next(iter(points.values()))
    n, member = len(first[LABEL]), sum(value is True for value in first[LABEL])
    told = f"{counted(n, 'judged compound')} of all splits, {member} of them perovskites (triangles)."
    notes = {each: _note(results[each], method) for each in points}
    if method == "pca":
        shares = {each: sum(results[each]["explained_variance"][:2]) for each in points}
        low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        held = [f"{100 * shares[each]:.0f} % of the spread in {each}" for each in (low, high)]
        told += f" Two components hold {held[0]} (least) and {held[1]} (most)."
    else:
        perplexities = {results[each]["tsne"]["perplexity"] for each in points}
        told += f" Perplexity {listing(f'{each:g}' for each in sorted(perplexities))}; another start looks different."
    columns = METHODS[method]
    return Plate(
        name=f"fig{number}_{method}",
        title=title,
        caption=told,
        alt=f"One scatter plot a combination, perovskites as triangles, others as dots. {told}",
        draw=partial(draw_labelled, points, columns, notes),
        data=_rows(points),
    )


def _note(result: Content, method: str) -> str:
    if method == "tsne":
        return ""
    return " and ".join(f"{100 * each:.0f} %" for each in result["explained_variance"][:2])


def _rows(points: Mapping[str, Points]) -> list[dict[str, Any]]:
    return [
        {"combination": name, **dict(zip(own, values, strict=True))}
        for name, own in points.items()
        for values in zip(*own.values(), strict=True)
    ]


def draw_labelled(points: Mapping[str, Points], columns: tuple[str, str], notes: Mapping[str, str]) -> Any:
    """One panel a combination."""
    across = min(4, len(points))
    lines = -(-len(points) // across)
    figure, axes = paint.panels(lines, across, height=2.35 * lines + 0.3)
    for axis, (name, own) in zip(axes, points.items(), strict=False):
        for judged, look, label in ((False, OTHER, "other ABX3"), (True, PEROVSKITE, "perovskite")):
            rows = [i for i, value in enumerate(own[LABEL]) if value is judged]
            x, y = ([own[column][i] for i in rows] for column in columns)
            axis.scatter(x, y, label=label, alpha=0.85, **look)
        _frame(axis, name)
        if notes[name]:
            axis.set_xlabel(f"explained variance {notes[name]}", fontsize=paint.SMALL)
    paint.hide(axes[len(points) :])
    paint.legend(figure, paint.handles_of(axes))
    return figure


def _systems(found: Content, inputs: Inputs) -> Block:
    title = "t-SNE of the test split by crystal system"
    name = inputs.largest() or ""
    result = found["results"].get("test", {}).get(name)
    why = reason(result) or (reason(result["tsne"]) if result else None)
    assert inputs.maps is not None
    points = {} if why else read_points(inputs.maps, sample="test", columns=METHODS["tsne"], label="crystal_system")
    if name not in points:
        return Notice(title, why or f"{name} has no map of the test split")
    own = points[name]
    counts = {each: own["crystal_system"].count(each) for each in SYSTEMS if each in own["crystal_system"]}
    told = (
        f"{name}, {counted(len(own['crystal_system']), 'material')}: "
        f"{', '.join(f'{each} {n}' for each, n in counts.items())}. Perplexity {result['tsne']['perplexity']:g}."
    )
    return Plate(
        name="tsne_crystal_system",
        title=title,
        caption=told,
        alt=f"Scatter plot, a colour and a marker a crystal system. {told}",
        draw=partial(draw_systems, own, list(counts)),
        data=_rows({name: own}),
    )


def draw_systems(own: Points, systems: list[str]) -> Any:
    """One panel; every crystal system has its own colour and marker."""
    figure, [axes] = paint.panels(1, 1, height=5.2, width=7.5)
    for position, system in enumerate(systems):
        rows = [i for i, value in enumerate(own["crystal_system"]) if value == system]
        x, y = ([own[column][i] for i in rows] for column in METHODS["tsne"])
        colour = (*COLOURS, INK)[SYSTEMS.index(system)]
        axes.scatter(x, y, s=18, marker=paint.MARKERS[position], color=colour, label=system, alpha=0.85, linewidths=0)
    _frame(axes, "")
    paint.legend(figure, paint.handles_of([axes]), columns=7)
    return figure


def _frame(axis: Any, name: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(name, fontsize=paint.LABEL, loc="left")
    axis.spines[:].set_color("#c4c8ce")
