"""Powder patterns: whole, scaled, with peaks, and where they were simulated those of their own structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit
from pydantic import Field

from matbind.base.config import StrictModel
from matbind.modalities.checks import Check
from matbind.modalities.pxrd.agreement import Cells, agreement
from matbind.modalities.pxrd.grid import Grid
from matbind.modalities.ragged import ragged

BATCH_VALUES = 1 << 23  # intensities of one batch
MOST_ROWS = 8192
FloatArray = npt.NDArray[np.float64]


class Settings(StrictModel):
    """What a powder pattern must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the patterns is bad.
        max_unmeasured_share: of the points of a measured pattern, that may be NaN.
        scale_tolerance: largest distance of the maximum from 1, and of any intensity below 0.
        peak_height: smallest height, in units of the maximum, at which a local maximum counts as a peak.
        min_contrast: smallest allowed difference of maximum and median.
        max_share_above_half: largest share of points above half the maximum; noise and humps have more than peaks.
        min_agreement: smallest cosine of a simulated pattern with that computed from its structure.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    max_unmeasured_share: float = Field(ge=0, lt=1)
    scale_tolerance: float = Field(ge=0, lt=1)
    peak_height: float = Field(gt=0, lt=1)
    min_contrast: float = Field(ge=0, lt=1)
    max_share_above_half: float = Field(gt=0, le=1)
    min_agreement: float = Field(ge=0, le=1)


MEASURES = ("n_not_finite", "unmeasured_share", "lowest", "highest", "n_peaks", "contrast", "share_above_half")


class Validator:
    """Checks of powder patterns against the crystals they belong to."""

    def __init__(self, settings: Settings, *, crystals: pl.DataFrame, records: Grid) -> None:
        self.settings, self.grid = settings, records
        self.batch_rows = batch_rows(records)
        self._cells = Cells.of(crystals)

    def checks(self) -> tuple[Check, ...]:
        """Return what is expected of the columns of :meth:`summarize`."""
        return checks(self.settings, self.grid)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure a batch; see :func:`summarize`."""
        return summarize(batch, cells=self._cells, settings=self.settings, grid=self.grid)


def checks(settings: Settings, grid: Grid) -> tuple[Check, ...]:
    """What is expected of the columns of :func:`summarize`."""
    slack = settings.scale_tolerance
    return (
        Check("length", "n_points", grid.n_points, grid.n_points, "number of points: {value}"),
        Check("finite", "n_not_finite", None, 0, "intensities that are missing, NaN or infinite: {value}"),
        Check(
            "measured_share",
            "unmeasured_share",
            None,
            settings.max_unmeasured_share,
            "a share of {value} was not measured",
        ),
        Check("not_negative", "lowest", -slack, None, "the lowest intensity is {value}"),
        Check("maximum_one", "highest", 1 - slack, 1 + slack, "the highest intensity is {value}"),
        Check("has_peaks", "n_peaks", 1, None, "number of peaks: {value}"),
        Check("not_constant", "contrast", settings.min_contrast, None, "its maximum is only {value} above its median"),
        Check(
            "peaks_stand_out",
            "share_above_half",
            None,
            settings.max_share_above_half,
            "a share of {value} is above half the maximum",
        ),
        Check(
            "of_its_structure",
            "agreement",
            settings.min_agreement,
            None,
            "its cosine with the pattern of the structure is {value}",
            optional=True,
        ),
    )


def batch_rows(grid: Grid) -> int:
    """Rows that are read at a time."""
    return max(1, min(MOST_ROWS, BATCH_VALUES // grid.n_points))


def summarize(batch: pl.DataFrame, cells: Cells, settings: Settings, grid: Grid) -> pl.DataFrame:
    """One summary row a pattern.

    Args:
        batch: rows of `pxrd.parquet` with `row`.
        cells: the sound structures.
        settings: what counts as a peak.
        grid: angles of the patterns.

    Returns:
        Columns row, material_id and the measures that :func:`checks` name; null where a measure has no meaning.
    """
    patterns = ragged(batch["pattern"])
    simulated = batch["simulated"].fill_null(value=True).to_numpy()
    table = _measure(patterns.values, patterns.offsets, simulated, settings.peak_height)
    measures: dict[str, Any] = {"n_points": patterns.lengths.astype(float)}
    measures |= {name: table[:, i] for i, name in enumerate(MEASURES)}
    comparable = simulated & (patterns.lengths == grid.n_points) & (table[:, 0] == 0) & (table[:, 3] > 0)
    measures["agreement"] = agreement(
        patterns.values,
        patterns.offsets,
        np.where(comparable, cells.find(batch["material_id"]), -1),
        cells,
        two_theta_deg=grid.two_theta_deg,
        wavelength_angstrom=grid.wavelength_angstrom,
    )
    return batch.select(
        "row", "material_id", *(pl.Series(name, values, nan_to_null=True) for name, values in measures.items())
    )


@njit(cache=True, nogil=True)
def _measure(
    values: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    simulated: npt.NDArray[np.bool_],
    peak_height: float,
) -> FloatArray:
    """The measures of `MEASURES` of every row, shape (n, 7); NaN where one has no meaning."""
    n = len(offsets) - 1
    table = np.full((n, 7), np.nan)
    for row in range(n):
        pattern = values[offsets[row] : offsets[row + 1]]
        nans, infinite = 0, 0
        for value in pattern:
            nans += np.isnan(value)
            infinite += np.isinf(value)
        table[row, 0] = infinite + (nans if simulated[row] else 0)
        table[row, 1] = nans / max(len(pattern), 1)
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
        table[row, 2], table[row, 3] = lowest, highest
        table[row, 4] = peaks
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
        table[row, 5] = (highest - lowest) * (1.0 - middle / 255.0)
        table[row, 6] = above / len(known)
    return table
