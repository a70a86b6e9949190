"""Powder patterns: whole, scaled, with peaks, and where they were simulated those of their own structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit
from pydantic import Field

from matbind.records import structure_of
from matbind.strict import Range, StrictModel
from matbind.validation.expectations import Check
from matbind.validation.tables import ragged

TABLE = "pxrd"
NOUN = "powder patterns"
BATCH_ROWS = 2048
MATCH_STEP_DEG = 0.25
TAIL_DEG = 1.0  # peaks up to here beyond the compared angles reach into them
N_MATCH_REFLECTIONS = (
    1000  # reciprocal lattice points compared, so that a large cell costs hardly more than a small one
)
FloatArray = npt.NDArray[np.float64]


class Grid(StrictModel):
    """The angles of the data set's patterns, as the prepare stage writes them.

    Attributes:
        wavelength_angstrom: of the X-rays.
        two_theta_deg: first and last angle.
        n_points: number of angles.
    """

    wavelength_angstrom: float = Field(gt=0)
    two_theta_deg: Range
    n_points: int = Field(ge=2)


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


def summarize(batch: pl.DataFrame, crystals: pl.DataFrame, settings: Settings, grid: Grid) -> pl.DataFrame:
    """One summary row a pattern.

    Args:
        batch: rows of `pxrd.parquet` with `row`.
        crystals: rows of `structures.parquet` whose structure is sound.
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
    measures["agreement"] = np.full(len(batch), np.nan)
    cells = batch.select("material_id").join(crystals, on="material_id", how="left", maintain_order="left")
    for row in np.flatnonzero(comparable):
        cell = cells.row(int(row), named=True)
        if cell["lattice"] is not None:
            pattern = patterns.values[patterns.offsets[row] : patterns.offsets[row + 1]]
            measures["agreement"][row] = agreement(cell, pattern, grid)
    return batch.select(
        "row", "material_id", *(pl.Series(name, values, nan_to_null=True) for name, values in measures.items())
    )


def agreement(row: dict[str, Any], pattern: npt.NDArray[np.float32], grid: Grid) -> float:
    """Cosine of a pattern with the reflections of a structure, smoothed so that the width of the peaks matters little.

    Only angles up to about the first 1,000 reciprocal lattice points are compared.

    Args:
        row: of `structures.parquet`.
        pattern: shape (n_points,), finite.
        grid: its angles.

    Returns:
        0 to 1; NaN where the structure reflects nothing at these angles.
    """
    from matbind.features.diffraction import reflections

    structure = structure_of(row)
    start, stop = grid.two_theta_deg
    g_wanted = (3.0 * N_MATCH_REFLECTIONS / (4.0 * np.pi * structure.volume_angstrom3)) ** (1.0 / 3.0)
    sine = min(0.5 * grid.wavelength_angstrom * g_wanted, 1.0)
    near = min(stop, max(float(np.degrees(2.0 * np.arcsin(sine))), start + 20.0 * MATCH_STEP_DEG))
    for end in (near, stop):
        try:
            peaks = reflections(
                structure,
                wavelength_angstrom=grid.wavelength_angstrom,
                two_theta_deg=(start, min(end + TAIL_DEG, stop)),
            )
        except ValueError:
            continue
        step = max(MATCH_STEP_DEG, 2.0 * (stop - start) / (grid.n_points - 1))
        return float(_cosine(pattern, start, stop, end, peaks.two_theta_deg, peaks.intensity, step))
    return float("nan")


@njit(cache=True)
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


@njit(cache=True)
def _cosine(  # noqa: PLR0917
    pattern: npt.NDArray[np.float32],
    start: float,
    stop: float,
    end: float,
    peak_deg: FloatArray,
    intensity: FloatArray,
    step: float,
) -> float:
    """Cosine of binned and smoothed pattern and peaks between `start` and `end`."""
    n_bins = int((end - start) / step) + 1
    found, computed = np.zeros(n_bins), np.zeros(n_bins)
    fine = (stop - start) / (len(pattern) - 1)
    for i in range(len(pattern)):
        at = i * fine / step
        if int(at) < n_bins - 1:
            found[int(at)] += pattern[i] * (1.0 - at % 1.0)
            found[int(at) + 1] += pattern[i] * (at % 1.0)
    for i in range(len(peak_deg)):
        at = (peak_deg[i] - start) / step
        if int(at) < n_bins - 1:
            computed[int(at)] += intensity[i] * (1.0 - at % 1.0)
            computed[int(at) + 1] += intensity[i] * (at % 1.0)
    for _ in range(4):
        for line in (found, computed):
            before = line[0]
            for i in range(n_bins - 1):
                here = line[i]
                line[i] = 0.25 * before + 0.5 * here + 0.25 * line[i + 1]
                before = here
    norm = np.sqrt((found * found).sum() * (computed * computed).sum())
    return (found * computed).sum() / norm if norm > 0 else 0.0
