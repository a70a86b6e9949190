"""Figures of a tuning: recall by trial, importance, a slice a setting; drawn, and as one page to point at.

Source of all: the content of metrics/tuning.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matbind.report.style import COLOURS, INK, STYLE
from matbind.report.tuning import short, verdict

LOOKS = {"complete": ("o", COLOURS[0]), "pruned": ("X", "#9aa0a8"), "failed": ("x", "#b3402a")}
NAMES = {"complete": "finished", "pruned": "given up by the pruner", "failed": "failed"}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tuning</title>
<style>body {{font-family: sans-serif; max-width: 1100px; margin: 2em auto; color: {ink}}}</style></head>
<body><h1>Tuning</h1><p>{verdict}</p>
{figures}
</body></html>
"""


def draw(found: Mapping[str, Any], directory: Path) -> list[Path]:
    """Draw history.png, importance.png and slices.png.

    Returns:
        Their paths.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    directory.mkdir(parents=True, exist_ok=True)
    n = len(found["space"])
    sizes = {"history": (9.0, 4.5), "importance": (8.0, 1.4 + 0.5 * n), "slices": (1.0 + 3.6 * n, 4.2)}
    drawn = []
    with mpl.rc_context(STYLE):
        for name, artist in (("history", _history), ("importance", _importance), ("slices", _slices)):
            figure = Figure(figsize=sizes[name], layout="constrained")
            artist(figure, found)
            drawn.append(directory / f"{name}.png")
            figure.savefig(drawn[-1], dpi=150)
    return drawn


def write_page(found: Mapping[str, Any], study: Any, path: Path) -> Path:
    """Write the figures of Optuna as one page that needs no network: plotly's script is in it.

    Args:
        found: the content of metrics/tuning.json.
        study: the Optuna study of the same trials.
        path: of the HTML file.
    """
    from html import escape

    from optuna import visualization

    figures = [
        ("Recall by trial", visualization.plot_optimization_history(study)),
        ("Recall by epoch", visualization.plot_intermediate_values(study)),
        ("One setting at a time", visualization.plot_slice(study)),
        ("All settings of a trial", visualization.plot_parallel_coordinate(study)),
    ]
    if found["importance"]:
        figures.insert(2, ("Share in the spread of recall", _importance_to_point_at(found)))
    parts = []
    for position, (title, figure) in enumerate(figures):
        figure.update_layout(title=title)
        # Names of its own, not random ones: the same tuning gives the same page.
        parts.append(figure.to_html(full_html=False, include_plotlyjs=position == 0, div_id=f"figure-{position}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(ink=INK, verdict=escape(verdict(found)), figures="\n".join(parts))
    path.write_text(page, encoding="utf-8")
    return path


def _history(figure: Any, found: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    best: list[float] = []
    for trial in found["trials"]:
        if trial["state"] == "complete":
            best.append(max([*best[-1:], trial["recall_at_1"]]))
        else:
            best += best[-1:] or [float("nan")]
    _points(axes, [trial["number"] for trial in found["trials"]], found["trials"])
    axes.step(range(len(best)), best, where="post", color=COLOURS[1], linewidth=1.5, label="best so far", zorder=1)
    default = found["defaults"]["validation_recall_at_1"]
    if default is not None:
        axes.axhline(default, color=INK, linewidth=1, linestyle=":", label="defaults (trial 0)", zorder=1)
    _finish(axes, title="Recall by trial", xlabel="trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("validation recall@1, mean of the aligned pairs")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))


def _importance(figure: Any, found: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    shares = dict(reversed(found["importance"].items()))
    axes.barh(list(shares), list(shares.values()), color=COLOURS[0], height=0.6)
    for row, share in enumerate(shares.values()):
        axes.text(share + 0.01, row, f"{share:.2f}", va="center")
    if not shares:
        axes.text(0.5, 0.5, "too few trials finished to say", ha="center", va="center", transform=axes.transAxes)
        axes.set_yticks([])
    n = sum(trial["state"] == "complete" for trial in found["trials"])
    _finish(axes, title=f"Share in the spread of recall (functional ANOVA, {n} finished trials)", xlabel="share")
    axes.set_xlim(0, 1.08)
    axes.grid(visible=False)


def _slices(figure: Any, found: Mapping[str, Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    names = list(found["space"])
    row = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(row, names, strict=True):
        values = [trial["values"][name] for trial in found["trials"]]
        if "logarithmic" in found["space"][name]:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        if found["choices"].get(name) is not None:
            labels = [short(choice) for choice in found["choices"][name]]
            values = [found["choices"][name].index(value) for value in values]
            axes.set_xticks(range(len(labels)), labels)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        _points(axes, values, found["trials"])
        _mark(axes, values, found)
        _finish(axes, title=name, xlabel="")
    row[0].set_ylabel("validation recall@1")
    handles, labels = row[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=4)


def _points(axes: Any, xs: Sequence[float], trials: Sequence[Mapping[str, Any]]) -> None:
    """A mark a trial; those that failed have no recall and stand at the bottom."""
    for state, (marker, colour) in LOOKS.items():
        points = [
            (x, trial["recall_at_1"] or 0.0) for x, trial in zip(xs, trials, strict=True) if trial["state"] == state
        ]
        if points:
            own_x, own_y = zip(*points, strict=True)
            axes.scatter(own_x, own_y, marker=marker, color=colour, s=42, label=NAMES[state], zorder=2)


def _mark(axes: Any, xs: Sequence[float], found: Mapping[str, Any]) -> None:
    rings = {found["best"]: (COLOURS[1], "best"), 0: (INK, "defaults")}  # the defaults where they are the best
    for number, (colour, name) in rings.items():
        recall = found["trials"][number]["recall_at_1"]
        if recall is not None:
            ring = {"marker": "o", "facecolor": "none", "edgecolor": colour, "linewidth": 1.6, "label": name}
            axes.scatter([xs[number]], [recall], s=150 if number else 230, zorder=3, **ring)


def _finish(axes: Any, *, title: str, xlabel: str) -> None:
    axes.set(title=title, xlabel=xlabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _importance_to_point_at(found: Mapping[str, Any]) -> Any:
    from plotly.graph_objects import Bar, Figure

    shares = dict(reversed(found["importance"].items()))
    return Figure(Bar(x=list(shares.values()), y=list(shares), orientation="h"))
