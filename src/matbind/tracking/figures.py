"""Figures of one run: recall of every pair of a combination."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.modalities.combinations import pair_name, parse_combination

COLOUR_MAP = "viridis"
BRIGHT = 0.6  # share from which the colour map is light enough for dark figures
CELL_INCH = 1.1


def pair_heatmap(evaluation: Mapping[str, Any], path: Path) -> Path:
    """Draw recall@1 of every ordered pair of a combination to a path and return it, queries down and keys across.

    Aligned pairs are set in roman, emergent ones in italics. No style of the library is changed, so it may be called
    beside other threads that draw.
    """
    from matplotlib.figure import Figure

    names = parse_combination(evaluation["combination"]).modalities
    pairs = [[evaluation["pairs"].get(pair_name(query, key)) for key in names] for query in names]
    side = CELL_INCH * len(names)
    figure = Figure(figsize=(side + 2.2, side + 1.0), layout="constrained")
    axes = figure.subplots()
    recalls = [[pair["recall_at_1"] if pair else float("nan") for pair in row] for row in pairs]
    image = axes.imshow(recalls, cmap=COLOUR_MAP, vmin=0, vmax=1)
    for i, row in enumerate(pairs):
        for j, pair in enumerate(row):
            if pair:
                style = "italic" if pair["kind"] == "emergent" else "normal"
                ink = "black" if pair["recall_at_1"] > BRIGHT else "white"
                axes.text(j, i, f"{pair['recall_at_1']:.2f}", ha="center", va="center", color=ink, style=style)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="key", ylabel="query", title=f"{evaluation['combination']}: recall@1, emergent in italics")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=110)
    return path
