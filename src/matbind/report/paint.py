"""Shared by all figures of the report: their size, their axes, the looks of a modality and of an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matbind.modalities.table import modality_names
from matbind.report.style import COLOURS, GRID, INK, SOFT
from matbind.report.words import arrow, state

WIDTH_INCH = 9.0
ROW_INCH = 0.2
PAD_INCH = 0.08
SMALL, LABEL, TITLE = 7.5, 8.5, 10
EDGE = "#c4c8ce"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
CHANCE: dict[str, Any] = {"color": SOFT, "linestyle": (0, (1, 2)), "linewidth": 1.2}
STATES: dict[str, dict[str, Any]] = {
    "better": {"marker": "^", "color": COLOURS[2], "markerfacecolor": COLOURS[2]},
    "worse": {"marker": "v", "color": COLOURS[1], "markerfacecolor": COLOURS[1]},
    "unclear": {"marker": "o", "color": "#7a808a", "markerfacecolor": "white"},
}
STATE_NAMES = {"better": "better (interval above 0)", "worse": "worse (interval below 0)", "unclear": "not decided"}


def grid(
    n: int, *, across: int, row: float, rest: float = 0.0, width: float = WIDTH_INCH, **options: Any
) -> tuple[Any, list[Any]]:
    """Make a figure of `n` panels in rows.

    Args:
        n: panels, at least one.
        across: panels in a row, at most.
        row: height of a row, inch.
        rest: height of what is above and below the rows, inch.
        width: of the figure, inch.
        options: of ``Figure.subplots``.

    Returns:
        The figure and the axes of its panels, in reading order.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(across, n)
    lines = -(-n // columns)
    layout = ConstrainedLayoutEngine(w_pad=PAD_INCH, h_pad=PAD_INCH)
    figure = Figure(figsize=(width, row * lines + rest), layout=layout, facecolor="white")
    axes = list(figure.subplots(lines, columns, squeeze=False, **options).flat)
    for spare in axes[n:]:
        spare.set_visible(False)
    return figure, axes[:n]


def panel(height: float, *, width: float = WIDTH_INCH) -> tuple[Any, Any]:
    """Make a figure of one panel; sizes in inch."""
    figure, [axes] = grid(1, across=1, row=height, width=width)
    return figure, axes


def finish(
    axes: Any, *, title: str = "", xlabel: str = "", ylabel: str = "", lines: str = "both", title_size: float = TITLE
) -> None:
    """Quieten axes: no box, small labels, light lines along `lines` ("x", "y" or "both")."""
    axes.set_title(title, fontsize=title_size, loc="left")
    axes.set_xlabel(xlabel, fontsize=LABEL)
    axes.set_ylabel(ylabel, fontsize=LABEL)
    axes.tick_params(labelsize=SMALL, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(EDGE)
    axes.set_axisbelow(True)
    axes.grid(axis=lines, color=GRID, linewidth=0.7)


def say(axes: Any, sentence: str) -> None:
    """Write a sentence in the place of a panel that has no data."""
    from textwrap import fill

    axes.axis("off")
    axes.text(0.5, 0.5, fill(sentence, 30), ha="center", va="center", fontsize=SMALL, transform=axes.transAxes)


def look(position: int) -> dict[str, Any]:
    """Return the colour and the marker of the thing at a position of a list."""
    return {"color": COLOURS[position % len(COLOURS)], "marker": MARKERS[position % len(MARKERS)]}


def modality_look(name: str) -> dict[str, Any]:
    """Return the colour and the marker of a modality, by its place in the table: the same in every figure."""
    return look(modality_names().index(name))


def forest(axes: Any, changes: Sequence[Mapping[str, Any]], *, note: str = "") -> None:
    """Draw changes with their intervals, the largest on top; shape and colour say which way they go.

    Args:
        axes: where to draw.
        changes: rows with `change`, `low` and `high`, and what they are of.
        note: put behind the label, with columns of the row in braces.
    """
    rows = sorted(changes, key=lambda row: -row["change"])
    for y, row in enumerate(rows):
        style = STATES[state(row)]
        if row["low"] is not None and row["high"] is not None:
            axes.plot([row["low"], row["high"]], [y, y], color=style["color"], linewidth=1.4, solid_capstyle="butt")
        axes.plot(row["change"], y, markersize=5, markeredgewidth=1.2, linestyle="", **style)
    axes.axvline(0, color=INK, linewidth=0.9)
    label_rows(axes, [f"{row['before']}: {arrow(row['question'])} {note.format(**row)}".strip() for row in rows])


def bar(axes: Any, y: float, value: float, row: Mapping[str, Any], *, line: float, cap: float, **style: Any) -> None:
    """Draw a bar to the right and over it the interval of its row, if it has one."""
    axes.barh(y, value, **style)
    if row["low"] is not None:
        distances = [[max(0.0, value - row["low"])], [max(0.0, row["high"] - value)]]
        axes.errorbar(value, y, xerr=distances, color=INK, linewidth=line, capsize=cap)


def label_rows(axes: Any, labels: Sequence[str]) -> None:
    """Label the rows of axes, the first on top."""
    axes.set_yticks(range(len(labels)), labels, fontsize=SMALL)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def state_legend(figure: Any) -> Any:
    """Say below all panels what the shapes of `forest` mean, and return the figure."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], markersize=5, linestyle="", label=STATE_NAMES[name], **STATES[name]) for name in STATES]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)
    return figure


def legend(figure: Any, *, columns: int = 4) -> Any:
    """Put one legend of all labels below all panels, every label once, and return the figure."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": SMALL}
    figure.legend(list(handles.values()), list(handles), **options)
    return figure
