"""Densities of states: finite, ordered, covering the window, holding the valence electrons of their material."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from matbind.materials.contacts import group_sums
from matbind.modalities.dos.settings import ValidationSettings
from matbind.modalities.dos.valence import electrons_by_element
from matbind.modalities.ragged import ragged

FloatArray = npt.NDArray[np.float64]


_NAMES = (
    "n_not_finite n_not_ascending largest_step_ev lowest_density highest_density below_first_ev above_last_ev "
    "last_from_efermi_ev cut_share electron_ratio neutrality_offset_ev flatness"
)
MEASURES = np.dtype([(name, float) for name in _NAMES.split()])
"""What a compiled loop measures of every density of states."""


class Validator:
    """Checks of densities of states against the crystals they belong to."""

    batch_rows = 8192
    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, settings: ValidationSettings, *, crystals: pl.DataFrame, records: None) -> None:  # noqa: ARG002
        self.settings = settings
        self._electrons = expected_electrons(crystals, settings)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure every density of states; a measure is null where it has no meaning."""
        energies, densities = ragged(batch["energies"]), ragged(batch["densities"])
        known = batch.select("material_id").join(self._electrons, on="material_id", how="left", maintain_order="left")
        expected = known["electrons"].fill_null(float("nan")).to_numpy(writable=True)
        measures = np.full(len(batch), np.nan, dtype=MEASURES)
        lists = (energies.values, energies.offsets, densities.values, densities.offsets)
        efermi = batch["efermi"].fill_null(float("nan")).to_numpy().astype(np.float64)
        _measure(*lists, efermi, expected, self.settings.window_ev[0], self.settings.electron_tolerance, measures)
        columns = {
            "n_points": energies.lengths.astype(float),
            "length_difference": (densities.lengths - energies.lengths).astype(float),
            "electrons_expected": expected,
        } | {name: measures[name] for name in _NAMES.split()}
        return batch.select(
            "row", "material_id", *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items())
        )


def expected_electrons(crystals: pl.DataFrame, settings: ValidationSettings) -> pl.DataFrame:
    """Count the valence electrons in the cell of every crystal; NaN where they are not known."""
    if settings.electrons is None:
        return crystals.select("material_id", electrons=pl.lit(float("nan")))
    numbers = ragged(crystals["atomic_numbers"])
    weight = np.ones(len(numbers.values))
    if "occupancy" in crystals.columns:
        occupancy = ragged(crystals["occupancy"])
        weight[np.repeat(occupancy.lengths == numbers.lengths, numbers.lengths)] = occupancy.values
    electrons = weight * electrons_by_element(settings.electrons, settings.electrons_of)[numbers.values]
    unknown = group_sums(np.isnan(electrons), numbers.offsets) + (numbers.lengths == 0)
    total = np.where(unknown > 0, np.nan, group_sums(np.nan_to_num(electrons), numbers.offsets))
    return crystals.select("material_id", pl.Series("electrons", total))


@njit(cache=True, nogil=True)
def _measure(  # noqa: PLR0917, C901, PLR0912, PLR0915
    energies: npt.NDArray[np.float32],
    energy_offsets: npt.NDArray[np.int64],
    densities: npt.NDArray[np.float32],
    density_offsets: npt.NDArray[np.int64],
    efermi: FloatArray,
    expected: FloatArray,
    window_start: float,
    tolerance: float,
    measures: npt.NDArray[Any],
) -> None:
    """Fill in the `MEASURES` of every row, shape (n,), which are NaN; those without a meaning stay so."""
    for row in range(len(efermi)):
        measure = measures[row]
        e = energies[energy_offsets[row] : energy_offsets[row + 1]]
        g = densities[density_offsets[row] : density_offsets[row + 1]]
        level = efermi[row]
        bad = 0 if np.isfinite(level) else 1
        for value in e:
            bad += not np.isfinite(value)
        for value in g:
            bad += not np.isfinite(value)
        measure.n_not_finite = bad
        if bad or len(e) < 2 or len(e) != len(g):  # noqa: PLR2004
            continue
        descents, widest = 0, 0.0
        lowest, highest = float(g[0]), float(g[0])
        total, at_level = 0.0, 0.0
        for i in range(1, len(e)):
            step = float(e[i]) - float(e[i - 1])
            descents += step <= 0
            widest = max(widest, step)
            lowest, highest = min(lowest, float(g[i])), max(highest, float(g[i]))
        measure.n_not_ascending = descents
        measure.largest_step_ev = widest
        measure.lowest_density, measure.highest_density = lowest, highest
        measure.below_first_ev = max(float(e[0]) - level, 0.0)
        measure.above_last_ev = max(level - float(e[-1]), 0.0)
        measure.last_from_efermi_ev = float(e[-1]) - level
        cut = float(e[0]) - level > window_start and highest > 0
        measure.cut_share = float(g[0]) / highest if cut else 0.0
        measure.flatness = lowest / highest if highest > 0 else 0.0
        if descents:
            continue
        # The count is reached between the first energy with almost all electrons and the last with hardly more.
        count = expected[row]
        almost, hardly_more = count * (1.0 - tolerance), count * (1.0 + tolerance)
        first, last = np.inf, np.inf
        for i in range(1, len(e)):
            step = float(e[i]) - float(e[i - 1])
            gain = step * 0.5 * (float(g[i]) + float(g[i - 1]))
            if e[i - 1] <= level < e[i]:
                at_level = total + gain * (level - float(e[i - 1])) / step
            if total < almost <= total + gain:
                first = min(first, float(e[i - 1]) + step * (almost - total) / gain)
            if total <= hardly_more < total + gain:
                last = min(last, float(e[i - 1]) + step * (hardly_more - total) / gain)
            total += gain
        if level >= e[-1]:
            at_level = total
        if not count > 0:
            continue
        measure.electron_ratio = at_level / count
        if total < almost:
            measure.neutrality_offset_ev = float(e[-1]) - level + 1.0  # reached above the last energy, if anywhere
        elif first > level:
            measure.neutrality_offset_ev = first - level
        elif last < level:
            measure.neutrality_offset_ev = last - level
        else:
            measure.neutrality_offset_ev = 0.0
