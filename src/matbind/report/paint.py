"""Shared by all figures of the report: their size, their axes, the looks of a modality and of an interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matbind.modalities.table import modality_names
from matbind.report.style import COLOURS, INK

WIDTH_INCH = 9.0
ROW_INCH = 0.2
PAD_INCH = 0.08
SMALL, LABEL, TITLE = 7.5, 8.5, 10
SOFT, GRID = "#5b616b", "#e6e8eb"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
CHANCE: dict[str, Any] = {"color": SOFT, "linestyle": (0, (1, 2)), "linewidth": 1.2}
STATES: dict[str, dict[str, Any]] = {
    "better": {"marker": "^", "color": COLOURS[2], "markerfacecolor": COLOURS[2]},
    "worse": {"marker": "v", "color": COLOURS[1], "markerfacecolor": COLOURS[1]},
    "unclear": {"marker": "o", "color": "#7a808a", "markerfacecolor": "white"},
}
STATE_NAMES = {
    "better": "better (interval above 0)",
    "worse": "worse (interval below 0)",
    "unclear": "not decided",
}


class Estimate(NamedTuple):
    """A labelled value with its interval."""

    label: str
    value: float
    low: float | None
    high: float | None


def panels(
    rows: int, columns: int, *, height: float, width: float = WIDTH_INCH, **options: Any
) -> tuple[Any, list[Any]]:
    """A figure and its axes in reading order; axes that stay empty are for the caller to hide.

    Args:
        rows: of axes.
        columns: of axes.
        height: of the figure, inch.
        width: of the figure, inch.
        options: of ``Figure.subplots``.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=PAD_INCH, h_pad=PAD_INCH)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def finish(axes: Any, *, title: str = "", xlabel: str = "", ylabel: str = "", grid: str = "both") -> None:
    """Quiet axes: no box, a light grid, small figures."""
    axes.set_title(title, fontsize=TITLE, loc="left")
    axes.set_xlabel(xlabel, fontsize=LABEL)
    axes.set_ylabel(ylabel, fontsize=LABEL)
    axes.tick_params(labelsize=SMALL, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c4c8ce")
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.7)


def hide(axes: Iterable[Any]) -> None:
    """Take away axes that nothing is drawn in."""
    for each in axes:
        each.set_visible(False)


def say(axes: Any, sentence: str) -> None:
    """Stand in for a panel that has no data."""
    from textwrap import fill

    axes.axis("off")
    axes.text(0.5, 0.5, fill(sentence, 30), ha="center", va="center", fontsize=SMALL, transform=axes.transAxes)


def modality_look(name: str) -> dict[str, Any]:
    """Colour and marker of a modality, the same in every figure."""
    position = modality_names().index(name)
    return {"color": COLOURS[position % len(COLOURS)], "marker": MARKERS[position % len(MARKERS)]}


def state(low: float | None, high: float | None) -> str:
    """What an interval of a change says."""
    if low is not None and low > 0:
        return "better"
    return "worse" if high is not None and high < 0 else "unclear"


def forest(axes: Any, estimates: Sequence[Estimate]) -> None:
    """Changes with their intervals, the first on top; shape and colour tell which way they go."""
    for y, each in enumerate(estimates):
        look = STATES[state(each.low, each.high)]
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [y, y], color=look["color"], linewidth=1.4, solid_capstyle="butt")
        axes.plot(each.value, y, markersize=5, markeredgewidth=1.2, linestyle="", **look)
    axes.axvline(0, color=INK, linewidth=0.9)
    rows(axes, [each.label for each in estimates])


def rows(axes: Any, labels: Sequence[str]) -> None:
    """A label a row, the first on top."""
    axes.set_yticks(range(len(labels)), labels, fontsize=SMALL)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def state_legend(figure: Any) -> None:
    """What the shapes of `forest` mean."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], markersize=5, linestyle="", label=STATE_NAMES[name], **STATES[name]) for name in STATES]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)


def legend(figure: Any, handles: Mapping[str, Any], *, columns: int = 4) -> None:
    """One legend below all panels, each label once."""
    names = list(handles)
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": SMALL}
    figure.legend([handles[name] for name in names], names, **options)


def handles_of(axes: Iterable[Any]) -> dict[str, Any]:
    """What the axes drew, by label, each once."""
    found: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def errors(value: float, bounds: Sequence[float] | None) -> list[list[float]] | None:
    """An interval as matplotlib wants it: distances below and above the value."""
    return None if bounds is None else [[max(0.0, value - bounds[0])], [max(0.0, bounds[1] - value)]]
