"""The looks of all figures, how one is written, and the learning curves of a run.

Drawn without pyplot: no display is needed, and the backend of the program that calls is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

INK, SOFT, PALE, GRID = "#22262e", "#5b616b", "#d3d6db", "#e6e8eb"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: for every kind of sight
DOTS_PER_INCH = 150
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.5,
    "hatch.color": PALE,
    "svg.hashsalt": "matbind",  # the same figure gives the same file
}


def styled() -> AbstractContextManager[None]:
    """Return the context in which all figures are drawn and saved."""
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def save_figure(draw: Callable[[], Any], path_stem: Path) -> tuple[Path, Path]:
    """Draw a figure in the style of all figures, and write it as PNG and SVG without any date.

    Args:
        draw: makes the figure.
        path_stem: where to write, without the suffix.

    Returns:
        Paths of the PNG and the SVG.
    """
    png, svg = path_stem.with_name(f"{path_stem.name}.png"), path_stem.with_name(f"{path_stem.name}.svg")
    with styled():
        figure = draw()
        figure.savefig(png, dpi=DOTS_PER_INCH)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def learning_curves(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Draw loss and validation recall@1 by epoch, and write them.

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
    with styled():
        draw_learning_curves(history).savefig(path, dpi=DOTS_PER_INCH)
    return path


def draw_learning_curves(history: Sequence[Mapping[str, float]]) -> Any:
    """Return the figure of :func:`learning_curves`: loss on the left, recall on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curves(left, history, "loss", title="Training loss (InfoNCE)")
    _curves(right, history, "validation_recall_at_1", title="Validation recall@1")
    right.set_ylim(0, 1)
    return figure


def _curves(axes: Any, history: Sequence[Mapping[str, float]], metric: str, *, title: str) -> None:
    """Draw a metric of the parts in colours, and its mean over them in ink, at the epochs that have it."""

    def curve(name: str, **look: Any) -> None:
        points = [(metrics["epoch"], metrics[name]) for metrics in history if name in metrics]
        axes.plot([x for x, _ in points], [y for _, y in points], marker=".", **look)

    parts = sorted({name for metrics in history for name in metrics if name.startswith(f"{metric}.")})
    for position, name in enumerate(parts):
        label = name.removeprefix(f"{metric}.").replace("_to_", "→").replace("->", "→")
        curve(name, color=COLOURS[position % len(COLOURS)], linewidth=1.2, markersize=4, label=label)
    curve(metric, color=INK, linewidth=2.2, markersize=6, label="mean" if parts else None)
    axes.set(title=title, xlabel="epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    if parts:
        axes.legend(frameon=False, fontsize=9)
