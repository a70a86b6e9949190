"""The strip of key figures at the top of the page."""

from __future__ import annotations

from typing import NamedTuple

from matbind.report import retrieval
from matbind.report.inputs import Inputs
from matbind.report.sentences import ranked
from matbind.report.words import arrow, interval, share, signed, span

PAPER_BEST = {"aligned": 0.97, "emergent": 0.731}  # Mirza et al. 2025, Figure 2


class KeyFigure(NamedTuple):
    """One number, what it is, and what to read beside it."""

    label: str
    value: str
    note: str


def headline(inputs: Inputs) -> list[KeyFigure]:
    """Best aligned and emergent pair, largest Shapley value, size of the gallery; those that there are."""
    figures = []
    for kind, paper in PAPER_BEST.items():
        best = retrieval.best(inputs, kind)
        if best is not None:
            name, pair, result = best
            bounds = interval(result.get("recall_at_1_ci95"))
            note = f"{arrow(pair)} of {name}; 95 % interval {bounds}. The paper's best: {paper:g}, in a larger gallery"
            figures.append(KeyFigure(f"best {kind} recall@1", share(result["recall_at_1"]), note))
    order = ranked(inputs)
    if order:
        name, value, low, high = order[0]
        note = f"{name}; 95 % interval {interval((low, high))} of the mean recall@1"
        figures.append(KeyFigure("largest Shapley value", signed(value), note))
    sizes = retrieval.galleries(inputs)
    if sizes:
        note = f"materials of the test split; chance of recall@1 is {retrieval.chance_levels(inputs)}"
        figures.append(KeyFigure("gallery N", span(sizes).replace(" to ", "\N{EN DASH}"), note))
    return figures
