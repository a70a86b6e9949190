"""Pair distribution functions: finite, as long as they should be, and not empty."""

from __future__ import annotations

import numpy as np
import polars as pl

from .settings import RecordsSettings, ValidationSettings


class Validator:
    """Checks of pair distribution functions."""

    batch_rows = 4096

    def __init__(self, settings: ValidationSettings, *, crystals: pl.DataFrame, records: RecordsSettings) -> None:  # noqa: ARG002
        self.parameters = {"n_points": records.n_points}

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure a batch, one row a function."""
        rows = [np.asarray(row if row is not None else [], dtype=float) for row in batch["density"].to_list()]
        return batch.select(
            "row",
            "material_id",
            pl.Series("n_points", [float(len(row)) for row in rows], dtype=pl.Float64),
            pl.Series("n_not_finite", [float((~np.isfinite(row)).sum()) for row in rows], dtype=pl.Float64),
            pl.Series("highest", [float(np.nanmax(row, initial=0.0)) for row in rows], dtype=pl.Float64),
        )
