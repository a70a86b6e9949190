"""Figures 5 and 6: t-SNE and PCA of the structure's embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matbind.report import paint
from matbind.report.blocks import Block, Notice, Plate, instead
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import phrase

if TYPE_CHECKING:
    import polars as pl

LABEL, SYSTEM = "perovskite_abx3", "crystal_system"
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
FIGURES = {"tsne": "fig5_tsne", "pca": "fig6_pca"}
AXES = {"tsne": ("tsne_x", "tsne_y"), "pca": ("pca_1", "pca_2")}
OTHER = {"color": "#8b919b", "marker": "o", "s": 9, "linewidths": 0}
PEROVSKITE = {"color": COLOURS[1], "marker": "^", "s": 16, "linewidths": 0}


def answer(content: Content, inputs: Inputs) -> list[Block]:
    """Return the judged ABX3 compounds of every combination by both methods, and the test split by crystal system."""
    if not inputs.maps.exists():
        return [Notice("Maps", f"{inputs.maps.name} is not there, the analyse stage did not write it")]
    results = content["results"]
    compounds = [_compounds(results.get("abx3", {}), inputs.maps, method) for method in FIGURES]
    return [*compounds, _systems(results.get("test", {}), inputs.maps, inputs.largest() or "")]


def read_points(path: Path, names: Iterable[str], *, sample: str, method: str, label: str) -> pl.DataFrame:
    """Read the materials of a sample that have a place, of some combinations: ids, both coordinates and the label."""
    import polars as pl

    columns = ["combination", "material_id", "formula", *AXES[method], label]
    wanted = (pl.col("sample") == sample) & pl.col("combination").is_in(list(names))
    return pl.read_parquet(path, columns=[*columns, "sample"]).filter(wanted).select(columns).drop_nulls(AXES[method])


def _compounds(results: Content, path: Path, method: str) -> Block:
    usable = available(results)
    points = read_points(path, usable, sample="abx3", method=method, label=LABEL)
    if points.is_empty():
        return instead(FIGURES[method], reasons({key: result.get("tsne") for key, result in usable.items()} or results))
    names = points["combination"].unique(maintain_order=True)
    labels = points.filter(combination=names[0])[LABEL]
    notes = {}
    if method == "pca":
        parts = {key: results[key]["explained_variance"][:2] for key in names}
        notes = {key: " and ".join(f"{100 * part:.0f} %" for part in two) for key, two in parts.items()}
        low, high = (pick(parts, key=lambda key: sum(parts[key])) for pick in (min, max))
        ends = [f"{100 * sum(parts[key]):.0f} % of the spread in {key}" for key in (low, high)]
        details: dict[str, Any] = {"ends": ends}
    else:
        perplexities = sorted({results[key]["tsne"]["perplexity"] for key in names})
        details = {"perplexities": [f"{value:g}" for value in perplexities]}
    caption = phrase(f"figure.{FIGURES[method]}.caption", n=len(labels), perovskites=labels.sum(), **details)
    return Plate(FIGURES[method], caption, partial(draw_compounds, points, AXES[method], notes), points.to_dicts())


def draw_compounds(points: pl.DataFrame, columns: tuple[str, str], notes: Mapping[str, str]) -> Any:
    """Draw one panel a combination."""
    panels = points.partition_by("combination", maintain_order=True)
    figure, axes = paint.grid(len(panels), across=4, row=2.35, rest=0.3)
    for axis, panel in zip(axes, panels, strict=True):
        name = panel["combination"][0]
        for judged, look, label in ((False, OTHER, "other ABX3"), (True, PEROVSKITE, "perovskite")):
            axis.scatter(*panel.filter(**{LABEL: judged}).select(columns), alpha=0.85, label=label, **look)
        _frame(axis, name)
        if name in notes:
            axis.set_xlabel(f"explained variance {notes[name]}", fontsize=paint.SMALL)
    return paint.legend(figure)


def _systems(results: Content, path: Path, name: str) -> Block:
    result = results.get(name)
    why = reason(result) or (reason(result["tsne"]) if result else None)
    points = read_points(path, [name], sample="test", method="tsne", label=SYSTEM)
    if why or result is None or points.is_empty():
        return instead("tsne_crystal_system", why or f"{name} has no map of the test split")
    present = points[SYSTEM].to_list()
    counts = {system: present.count(system) for system in SYSTEMS if system in present}
    systems = ", ".join(f"{system} {n}" for system, n in counts.items())
    caption = phrase(
        "figure.tsne_crystal_system.caption", name=name, n=len(points), systems=systems, tsne=result["tsne"]
    )
    return Plate("tsne_crystal_system", caption, partial(draw_systems, points, list(counts)), points.to_dicts())


def draw_systems(points: pl.DataFrame, systems: list[str]) -> Any:
    """Draw one panel, with a colour and a marker for every crystal system."""
    figure, axes = paint.panel(5.2, width=7.5)
    for position, system in enumerate(systems):
        look = {"color": (*COLOURS, INK)[SYSTEMS.index(system)], "marker": paint.MARKERS[position], "linewidths": 0}
        x, y = points.filter(**{SYSTEM: system}).select(AXES["tsne"])
        axes.scatter(x, y, s=18, alpha=0.85, label=system, **look)
    _frame(axes, "")
    return paint.legend(figure, columns=7)


def _frame(axis: Any, name: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(name, fontsize=paint.LABEL, loc="left")
    axis.spines[:].set_color(paint.EDGE)
