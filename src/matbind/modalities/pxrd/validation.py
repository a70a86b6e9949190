"""Powder patterns: whole, scaled, with peaks, and where they were simulated those of their structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from matbind.modalities.pxrd.agreement import Cells, agreement
from matbind.modalities.pxrd.settings import Grid, ValidationSettings
from matbind.modalities.ragged import ragged

BATCH_VALUES = 1 << 23  # intensities of one batch
MOST_ROWS = 8192


_NAMES = ("n_not_finite", "unmeasured_share", "lowest", "highest", "n_peaks", "contrast", "share_above_half")
MEASURES = np.dtype([(name, float) for name in _NAMES])
"""What a compiled loop measures of every pattern."""


class Validator:
    """Checks of powder patterns against the crystals they belong to."""

    def __init__(self, settings: ValidationSettings, *, crystals: pl.DataFrame, records: Grid) -> None:
        self.settings, self.grid = settings, records
        self.batch_rows = max(1, min(MOST_ROWS, BATCH_VALUES // records.n_points))
        self.parameters = {"n_points": records.n_points}
        self._cells = Cells.of(crystals)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure every pattern; a measure is null where it has no meaning."""
        patterns = ragged(batch["pattern"])
        simulated = batch["simulated"].fill_null(value=True).to_numpy()
        measures = np.full(len(batch), np.nan, dtype=MEASURES)
        _measure(patterns.values, patterns.offsets, simulated, self.settings.peak_height, measures)
        whole = (patterns.lengths == self.grid.n_points) & (measures["n_not_finite"] == 0) & (measures["highest"] > 0)
        cosine = agreement(
            patterns.values,
            patterns.offsets,
            np.where(simulated & whole, self._cells.positions(batch["material_id"]), -1),
            self._cells,
            two_theta_deg=self.grid.two_theta_deg,
            wavelength_angstrom=self.grid.wavelength_angstrom,
        )
        columns = {"n_points": patterns.lengths.astype(float)} | {name: measures[name] for name in _NAMES}
        series = (
            pl.Series(name, values, nan_to_null=True) for name, values in (columns | {"agreement": cosine}).items()
        )
        return batch.select("row", "material_id", *series)


@njit(cache=True, nogil=True)
def _measure(
    values: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    simulated: npt.NDArray[np.bool_],
    peak_height: float,
    measures: npt.NDArray[Any],
) -> None:
    """Fill in the `MEASURES` of every row, shape (n,), which are NaN; those without a meaning stay so."""
    for row in range(len(offsets) - 1):
        measure = measures[row]
        pattern = values[offsets[row] : offsets[row + 1]]
        nans, infinite = 0, 0
        for value in pattern:
            nans += np.isnan(value)
            infinite += np.isinf(value)
        measure.n_not_finite = infinite + (nans if simulated[row] else 0)
        measure.unmeasured_share = nans / max(len(pattern), 1)
        if infinite or nans == len(pattern):
            continue
        known = pattern[~np.isnan(pattern)] if nans else pattern
        lowest, highest = known.min(), known.max()
        peaks, above = 0, 0
        rising = True
        for i in range(1, len(known)):
            above += known[i] > 0.5 * highest
            if known[i] < known[i - 1]:
                peaks += rising and i > 1 and known[i - 1] >= peak_height * highest and known[i - 1] > lowest
                rising = False
            elif known[i] > known[i - 1]:
                rising = True
        measure.lowest, measure.highest = lowest, highest
        measure.n_peaks = peaks
        below = 0  # a histogram finds the median well enough and much sooner than sorting
        counts = np.zeros(256, dtype=np.int64)
        if highest > lowest:
            scale = 255.0 / (highest - lowest)
            for value in known:
                counts[int((value - lowest) * scale)] += 1
        middle = 0
        while below + counts[middle] < len(known) // 2 and middle < 255:  # noqa: PLR2004
            below += counts[middle]
            middle += 1
        measure.contrast = (highest - lowest) * (1.0 - middle / 255.0)
        measure.share_above_half = above / len(known)
