"""Figures of one run: recall of every pair of a combination."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.modalities.combinations import pair_name, parse_combination

COLOUR_MAP = "viridis"
BRIGHT = 0.6  # share from which the colour map is light enough for dark figures
CELL_INCH = 1.1


def pair_heatmap(evaluation: Mapping[str, Any], path: Path, *, k: int = 1) -> Path:
    """Draw recall@k of every ordered pair of a combination, queries down and keys across.

    Aligned pairs are set in roman, emergent ones in italics. No style of the library is changed, so it may be called
    beside other threads that draw.

    Args:
        evaluation: content of a metrics file.
        path: image to write; its suffix says the format.
        k: 1, 5 or 10.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    names = parse_combination(evaluation["combination"]).modalities
    values = [[_recall(evaluation, query, key, k) for key in names] for query in names]
    side = CELL_INCH * len(names)
    figure = Figure(figsize=(side + 2.2, side + 1.0), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        [[float("nan") if value is None else value for value in row] for row in values], cmap=COLOUR_MAP, vmin=0, vmax=1
    )
    for row, query in enumerate(names):
        for column, key in enumerate(names):
            value = values[row][column]
            if value is not None:
                style = "italic" if evaluation["pairs"][pair_name(query, key)]["kind"] == "emergent" else "normal"
                ink = "black" if value > BRIGHT else "white"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, style=style)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="key", ylabel="query", title=f"{evaluation['combination']}: recall@{k}, emergent in italics")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=110)
    return path


def _recall(evaluation: Mapping[str, Any], query: str, key: str, k: int) -> float | None:
    result = evaluation.get("pairs", {}).get(pair_name(query, key))
    return None if result is None else float(result[f"recall_at_{k}"])
