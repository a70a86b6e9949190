"""The figure of figures 2 and 4: recall of every ordered pair under every combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from matbind.modalities.combinations import Combination, pair_name, parse_combination
from matbind.modalities.table import modality_names
from matbind.report.style import COLOURS, INK, PALE, SOFT
from matbind.report.words import span

BASELINE = "linear baseline"
FAILED = "#b3402a"
COLOUR_MAP = "viridis"
BRIGHT = 0.5  # luminance from which dark numbers are read better than white ones
CELL_INCH = 0.62
# In cells: between groups of rows or columns, between the dots of a row's modalities, the margins, a letter of a label.
GAP, DOT_STEP, HEADER_CELLS, LEGEND_CELLS, CHARACTER_CELLS = 0.35, 0.6, 3.2, 2.0, 0.14
MARKERS: dict[str, dict[str, Any]] = {
    "hub": {"marker": "*", "markersize": 15, "color": COLOURS[1]},
    "spoke": {"marker": "o", "markersize": 8, "color": INK},
    "absent": {"marker": "o", "markersize": 3, "color": PALE},
}

Column = tuple[float, str, str]


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
    ys = _row_positions([(len(combination.modalities), label == BASELINE) for label, combination, _ in rows])
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


def _rows(comparison: Mapping[str, Any]) -> list[tuple[str, Combination, Mapping[str, Any]]]:
    """Return label, combination and results of every row; the baseline is of everything that it was measured on."""
    rows = []
    for name, entry in comparison["combinations"].items():
        combination = parse_combination(name)
        rows.append((name, Combination(combination.modalities, entry.get("hub") or combination.hub), entry))
    if comparison.get("baseline"):
        everything = "+".join({side for pair in comparison["baseline"] for side in pair.split("->")})
        rows.append((BASELINE, parse_combination(everything), {"pairs": comparison["baseline"]}))
    return rows


def _row_positions(groups: Sequence[tuple[int, bool]]) -> list[float]:
    """Return the tops of the rows, with a gap where the next group begins."""
    ys = [0.0] * len(groups)
    for i in range(1, len(groups)):
        ys[i] = ys[i - 1] + (1 + GAP * (groups[i] != groups[i - 1]))
    return ys


def _columns() -> list[Column]:
    """Return left edge, query and key of every column, grouped by query; the last, of two views, names no modality."""
    per_query = len(modality_names()) - 1
    columns = [(i + GAP * (i // per_query), *pair) for i, pair in enumerate(permutations(modality_names(), 2))]
    return [*columns, (columns[-1][0] + 1 + 2 * GAP, "view", "view")]


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
    """Show by the outline of a cell what sort of pair it is of, so that no eye needs colour for it."""
    from matplotlib.patches import Circle, Rectangle

    if kind is None:
        axes.add_patch(Rectangle((x + 0.04, y + 0.04), 0.92, 0.92, facecolor=colour, hatch="////", linewidth=0))
    elif kind == "emergent":
        axes.add_patch(Circle((x + 0.5, y + 0.5), 0.46, facecolor=colour, linewidth=0))
    else:
        axes.add_patch(Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, facecolor=colour, linewidth=0))


def _row_label(axes: Any, label: str, combination: Combination, y: float, x_dots: float) -> None:
    style = "italic" if label == BASELINE else "normal"
    axes.text(x_dots - 0.15, y + 0.5, label, ha="right", va="center", fontsize=10.5, style=style)
    for i, name in enumerate(modality_names()):
        role = "hub" if name == combination.hub else "spoke" if name in combination.modalities else "absent"
        axes.plot(x_dots + DOT_STEP * (i + 0.5), y + 0.5, **MARKERS[role], markeredgewidth=0)


def _headers(axes: Any, columns: Sequence[Column], x_dots: float) -> None:
    for i, name in enumerate(modality_names()):
        axes.text(x_dots + DOT_STEP * (i + 0.5), -0.2, name, rotation=90, ha="center", va="bottom", fontsize=10)
    for x, _, key in columns:
        axes.text(x + 0.5, -0.2, key, ha="center", va="bottom", fontsize=10)
    for query in dict.fromkeys(query for _, query, _ in columns):
        edges = [x for x, other, _ in columns if other == query]
        start, end = edges[0] + 0.05, edges[-1] + 0.95
        axes.plot([start, end], [-0.68, -0.68], color=INK, linewidth=1)
        axes.text((start + end) / 2, -0.8, f"{query} →", ha="center", va="bottom", fontsize=12, weight="bold")


def _titles(axes: Any, comparison: Mapping[str, Any], *, k: int, x: float, y: float) -> None:
    question = "is the nearest the right one?" if k == 1 else f"is the right material among the {k} nearest?"
    axes.text(x, y + 0.55, f"Recall@{k}: {question}", fontsize=17, weight="bold", ha="left", va="center")
    sizes = [pair["n"] for entry in comparison["combinations"].values() for pair in entry.get("pairs", {}).values()]
    if sizes:
        chance = span([min(100.0, 100 * k / n) for n in sizes], ".2f")
        text = f"test split, query → key, gallery of N = {span(sizes, 'd')} materials, chance {chance} %"
        axes.text(x, y + 1.15, text, fontsize=11, color=SOFT, ha="left", va="center")


def _legend(axes: Any, *, x: float, right: float, y: float, k: int) -> None:
    from matplotlib import colormaps

    for role in ("hub", "spoke"):
        axes.plot(x + 0.25, y + 0.25, **MARKERS[role], markeredgewidth=0)
        axes.text(x + 0.6, y + 0.25, role, va="center")
        x += 1.7
    for kind, text in (("aligned", "aligned (with the hub)"), ("emergent", "emergent"), (None, "not possible")):
        _shape(axes, x, y - 0.25, kind=kind, colour=colormaps[COLOUR_MAP](0.45) if kind else "white")
        axes.text(x + 1.15, y + 0.25, text, va="center")
        x += 1.6 + 0.135 * len(text)
    start = right - 4
    shades = [[i / 255 for i in range(256)]]
    axes.imshow(shades, cmap=COLOUR_MAP, extent=(start, right, y + 0.45, y + 0.05), aspect="auto")
    for value in (0.0, 0.5, 1.0):
        axes.text(start + 4 * value, y + 0.55, f"{value:g}", ha="center", va="top", fontsize=9)
    axes.text(start - 0.2, y + 0.25, f"recall@{k}", ha="right", va="center")
