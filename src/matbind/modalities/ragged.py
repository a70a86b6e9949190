"""Columns of lists as plain arrays, for compiled measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True, slots=True)
class Ragged:
    """A column of lists as plain arrays."""

    values: npt.NDArray[Any]  # all values end to end; missing ones are NaN
    offsets: npt.NDArray[np.int64]  # shape (n_rows + 1,); row i is `values[offsets[i]:offsets[i + 1]]`

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of values of every row, shape (n_rows,)."""
        return np.diff(self.offsets)


def ragged(column: pl.Series) -> Ragged:
    """Lay the lists of a column end to end; a missing list is an empty one."""
    inner = column.dtype.inner  # type: ignore[attr-defined]
    whole: Any = column.rechunk().to_arrow()
    if not whole.null_count and not whole.values.null_count:  # almost always: no list is taken apart
        ends = whole.offsets.to_numpy().astype(np.int64)
        values = whole.values.to_numpy(zero_copy_only=False)[ends[0] : ends[-1]]
        return Ragged(np.require(values, requirements=["C", "W"]), ends - ends[0])
    filled = column.fill_null(pl.lit([], dtype=pl.List(inner))) if column.null_count() else column
    lengths = filled.list.len().to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    exploded = filled.filter(filled.list.len() > 0).explode()
    array = exploded.fill_null(0).to_numpy() if inner.is_integer() else exploded.fill_null(float("nan")).to_numpy()
    return Ragged(np.require(array, requirements=["C", "W"]), offsets)
