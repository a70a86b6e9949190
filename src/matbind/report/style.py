"""Figures: recall of every pair under every combination, and learning curves.

Drawn without pyplot: no display is needed, and the backend of the program that calls is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import permutations
from pathlib import Path
from typing import Any

from matbind.modalities.combinations import Combination, pair_name, parse_combination
from matbind.modalities.table import modality_names

INK = "#22262e"
FAILED = "#b3402a"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: for every kind of sight
COLOUR_MAP = "viridis"
BRIGHT = 0.5  # luminance from which dark figures are read better than white ones
CELL_INCH = 0.62
DOTS_PER_INCH = 150
# In cells: between groups of rows or columns, between the dots of a row's modalities, the margins, a letter of a label.
GAP, DOT_STEP, HEADER_CELLS, LEGEND_CELLS, CHARACTER_CELLS = 0.35, 0.6, 3.2, 2.0, 0.14
MARKERS: dict[str, dict[str, Any]] = {
    "hub": {"marker": "*", "markersize": 15, "color": COLOURS[1]},
    "spoke": {"marker": "o", "markersize": 8, "color": INK},
    "absent": {"marker": "o", "markersize": 3, "color": "#d3d6db"},
}
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.5,
    "hatch.color": "#d3d6db",
    "svg.hashsalt": "matbind",  # the same figure gives the same file
}


def save_figure(draw: Callable[[], Any], path_stem: Path) -> tuple[Path, Path]:
    """Draw a figure in the style of all figures, and write it as PNG and SVG without any date.

    Args:
        draw: makes the figure.
        path_stem: where to write, without the suffix.

    Returns:
        Paths of the PNG and the SVG.
    """
    paths = path_stem.with_name(path_stem.name + ".png"), path_stem.with_name(path_stem.name + ".svg")
    with _style():
        figure = draw()
        figure.savefig(paths[0], dpi=DOTS_PER_INCH)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def learning_curves(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Draw loss and validation recall@1 by epoch.

    Args:
        history: one mapping an epoch: ``epoch``, ``loss``, ``loss.<spoke>``, and where the epoch was validated
            ``validation_recall_at_1``, ``validation_recall_at_1.<pair>``.
        path: image to write; its suffix says the format.

    Returns:
        The path.

    Raises:
        ValueError: if there is no epoch.
    """
    if not history:
        raise ValueError("learning curves need at least one epoch")
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _curves(left, history, "loss", title="Training loss (InfoNCE)")
        _curves(right, history, "validation_recall_at_1", title="Validation recall@1")
        right.set_ylim(0, 1)
        figure.savefig(path, dpi=DOTS_PER_INCH)
    return path


def recall_figure(comparison: Mapping[str, Any], *, k: int) -> Any:
    """Draw recall@k of every ordered pair (columns) under every combination (rows).

    Aligned pairs are squares, emergent ones are discs, impossible ones are white and hatched. Two views of a single
    modality are another question and stand in a column apart. The linear baseline is the last row.

    Args:
        comparison: the content of metrics/comparison.json.
        k: 1, 5 or 10.

    Source: Mirza et al. 2025, Figures 2 and 4.
    """
    from matplotlib.figure import Figure

    rows = _rows(comparison)
    ys = _row_positions(rows)
    columns = _columns()
    right, bottom = columns[-1][0] + 1, (ys[-1] + 1 if ys else 0.0)
    x_dots = -DOT_STEP * len(modality_names()) - GAP
    left = x_dots - 0.6 - CHARACTER_CELLS * max([len(label) for label, *_ in rows], default=0)
    top = -HEADER_CELLS
    width, height = right - left + 0.4, bottom - top + LEGEND_CELLS
    figure = Figure(figsize=(width * CELL_INCH, height * CELL_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, left + width), ylim=(top + height, top))
    axes.axis("off")
    _titles(axes, comparison, k=k, x=left + 0.25, y=top)
    _headers(axes, columns, x_dots)
    for (label, combination, entry), y in zip(rows, ys, strict=True):
        _row_label(axes, label, combination, y, x_dots)
        if "error" in entry:
            axes.text(right / 2, y + 0.5, "training failed", color=FAILED, ha="center", va="center", style="italic")
            continue
        for x, query, key in columns:
            pair = (combination.hub, combination.hub) if query == key else (query, key)
            if pair in combination.pairs():
                _cell(axes, x, y, entry["pairs"].get(pair_name(*pair)), k=k)
            else:
                _shape(axes, x, y, kind=None, colour="white")
    _legend(axes, x=left + 0.25, right=right, y=bottom + 0.7, k=k)
    return figure


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _rows(comparison: Mapping[str, Any]) -> list[tuple[str, Combination, Mapping[str, Any]]]:
    """Label, combination and results of every row; the baseline is drawn as a combination of everything it measured."""
    rows = [
        (name, Combination(parse_combination(name).modalities, entry.get("hub") or parse_combination(name).hub), entry)
        for name, entry in comparison["combinations"].items()
    ]
    if comparison.get("baseline"):
        held = "+".join({side for pair in comparison["baseline"] for side in pair.split("->")})
        combination = parse_combination(held)
        rows.append(("linear baseline", combination, {"pairs": comparison["baseline"]}))
    return rows


def _row_positions(rows: Sequence[tuple[str, Combination, Any]]) -> list[float]:
    """Tops of the rows; a gap where the number of modalities changes, and before the baseline."""
    ys, y = [], 0.0
    previous: tuple[int, bool] | None = None
    for label, combination, _ in rows:
        group = (len(combination.modalities), label == combination.name)
        if previous is not None:
            y += 1 + GAP * (group != previous)
        ys.append(y)
        previous = group
    return ys


def _columns() -> list[tuple[float, str, str]]:
    """Left edge, query and key of every column, grouped by query; the last one, of two views, names no modality."""
    pairs = [*permutations(modality_names(), 2)]
    per_query = len(modality_names()) - 1
    columns = [(i + GAP * (i // per_query), *pair) for i, pair in enumerate(pairs)]
    return [*columns, (columns[-1][0] + 1 + 2 * GAP if columns else 0.0, "view", "view")]


def _cell(axes: Any, x: float, y: float, result: Mapping[str, Any] | None, *, k: int) -> None:
    from matplotlib import colormaps

    if result is None:
        axes.text(x + 0.5, y + 0.5, "none", ha="center", va="center", color=FAILED, fontsize=9, style="italic")
        return
    value = float(result[f"recall_at_{k}"])
    red, green, blue, _ = colour = colormaps[COLOUR_MAP](value)
    _shape(axes, x, y, kind=result["kind"], colour=colour)
    ink = INK if 0.299 * red + 0.587 * green + 0.114 * blue > BRIGHT else "white"
    axes.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=10)


def _shape(axes: Any, x: float, y: float, *, kind: str | None, colour: Any) -> None:
    """Tell what sort of pair a cell is by its outline, so that no eye needs colour for it."""
    from matplotlib.patches import Circle, Rectangle

    if kind is None:
        axes.add_patch(Rectangle((x + 0.04, y + 0.04), 0.92, 0.92, facecolor=colour, hatch="////", linewidth=0))
    elif kind == "emergent":
        axes.add_patch(Circle((x + 0.5, y + 0.5), 0.46, facecolor=colour, linewidth=0))
    else:
        axes.add_patch(Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, facecolor=colour, linewidth=0))


def _row_label(axes: Any, label: str, combination: Combination, y: float, x_dots: float) -> None:
    style = "normal" if label == combination.name else "italic"
    axes.text(x_dots - 0.15, y + 0.5, label, ha="right", va="center", fontsize=10.5, style=style)
    for i, name in enumerate(modality_names()):
        role = "hub" if name == combination.hub else "spoke" if name in combination.modalities else "absent"
        axes.plot(x_dots + DOT_STEP * (i + 0.5), y + 0.5, **MARKERS[role], markeredgewidth=0)


def _headers(axes: Any, columns: Sequence[tuple[float, str, str]], x_dots: float) -> None:
    for i, name in enumerate(modality_names()):
        x = x_dots + DOT_STEP * (i + 0.5)
        axes.text(x, -0.2, name, rotation=90, ha="center", va="bottom", fontsize=10)
    for x, _, key in columns:
        axes.text(x + 0.5, -0.2, key, ha="center", va="bottom", fontsize=10)
    for query in dict.fromkeys(query for _, query, _ in columns):
        edges = [x for x, other, _ in columns if other == query]
        start, end = edges[0] + 0.05, edges[-1] + 0.95
        axes.plot([start, end], [-0.68, -0.68], color=INK, linewidth=1)
        axes.text((start + end) / 2, -0.8, f"{query} →", ha="center", va="bottom", fontsize=12, weight="bold")


def _titles(axes: Any, comparison: Mapping[str, Any], *, k: int, x: float, y: float) -> None:
    title = (
        f"Recall@{k}: is the right material among the {k} nearest?"
        if k > 1
        else "Recall@1: is the nearest the right one?"
    )
    axes.text(x, y + 0.55, title, fontsize=17, weight="bold", ha="left", va="center")
    sizes = [found["n"] for entry in comparison["combinations"].values() for found in entry.get("pairs", {}).values()]
    if sizes:
        chance = _span([min(100.0, 100 * k / n) for n in sizes], ".2f")
        text = f"test split, query → key, gallery of N = {_span(sizes, 'd')} materials, chance {chance} %"
        axes.text(x, y + 1.15, text, fontsize=11, color="#5b616b", ha="left", va="center")


def _legend(axes: Any, *, x: float, right: float, y: float, k: int) -> None:
    from matplotlib import colormaps

    for role, text in (("hub", "hub"), ("spoke", "spoke")):
        axes.plot(x + 0.25, y + 0.25, **MARKERS[role], markeredgewidth=0)
        axes.text(x + 0.6, y + 0.25, text, va="center")
        x += 1.7
    for kind, text in (("aligned", "aligned (with the hub)"), ("emergent", "emergent"), (None, "not possible")):
        _shape(axes, x, y - 0.25, kind=kind, colour=colormaps[COLOUR_MAP](0.45) if kind else "white")
        axes.text(x + 1.15, y + 0.25, text, va="center")
        x += 1.6 + 0.135 * len(text)
    start = right - 4
    axes.imshow(
        [[i / 255 for i in range(256)]], cmap=COLOUR_MAP, extent=(start, right, y + 0.45, y + 0.05), aspect="auto"
    )
    for value in (0.0, 0.5, 1.0):
        axes.text(start + 4 * value, y + 0.55, f"{value:g}", ha="center", va="top", fontsize=9)
    axes.text(start - 0.2, y + 0.25, f"recall@{k}", ha="right", va="center")


def _curves(axes: Any, history: Sequence[Mapping[str, float]], metric: str, *, title: str) -> None:
    parts = sorted({name for figures in history for name in figures if name.startswith(f"{metric}.")})
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(parts))]
    for name, colour in zip(parts, colours, strict=True):
        label = name.removeprefix(f"{metric}.").replace("_to_", "→").replace("->", "→")
        axes.plot(*_series(history, name), color=colour, linewidth=1.2, marker=".", markersize=4, label=label)
    mean = "mean" if parts else None
    axes.plot(*_series(history, metric), color=INK, linewidth=2.2, marker=".", markersize=6, label=mean)
    axes.set(title=title, xlabel="epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    if parts:
        axes.legend(frameon=False, fontsize=9)


def _series(history: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Epochs at which the figure was taken, and its values."""
    points = [(figures["epoch"], figures[name]) for figures in history if name in figures]
    return [x for x, _ in points], [y for _, y in points]


def _span(values: Sequence[float], form: str) -> str:
    texts = dict.fromkeys(format(value, form) for value in (min(values), max(values)))
    return " to ".join(texts)
