"""How the measures of a table are distributed, with the bounds that are set for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from matbind.modalities.checks import Outcome

N_BINS = 48
SHOWN_SHARE = 0.002  # at each end; values beyond are counted in the first and last bin


def histograms(summary: pl.DataFrame, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Count into bins the measures that take more than a handful of values.

    Args:
        summary: one row a value.
        outcomes: of the checks, which name the measures and their bounds.

    Returns:
        For every such measure its name, first and last edge, counts of the bins, and the bounds of its checks.
    """
    bounds: dict[str, tuple[list[float], list[float]]] = {}
    for outcome in outcomes:
        check = outcome.check
        low, high = bounds.setdefault(check.column, ([], []))
        low.extend([] if check.minimum is None else [check.minimum])
        high.extend([] if check.maximum is None else [check.maximum])
    counted = []
    for column, (low, high) in bounds.items():
        if column not in summary.columns:
            continue
        values = summary[column].drop_nulls().cast(pl.Float64).to_numpy()
        values = values[np.isfinite(values)]
        if len(np.unique(values)) <= N_BINS // 6:
            continue
        first, last = np.quantile(values, [SHOWN_SHARE, 1 - SHOWN_SHARE])
        if first == last:
            first, last = values.min(), values.max()
        first, last = _with_bounds(first, last, [*low, *high])
        counts, edges = np.histogram(np.clip(values, first, last), bins=N_BINS, range=(first, last))
        counted.append(
            {
                "measure": column,
                "first": float(edges[0]),
                "last": float(edges[-1]),
                "counts": counts.tolist(),
                "values": len(values),
                "minimum": max(low, default=None),
                "maximum": min(high, default=None),
            }
        )
    return counted


def _with_bounds(first: float, last: float, bounds: Sequence[float]) -> tuple[float, float]:
    """Widen a range to show the bounds that are not far from it."""
    near = [bound for bound in bounds if abs(bound - (first + last) / 2) <= last - first]
    return min(first, *near, last), max(last, *near, first)
