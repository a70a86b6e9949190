"""The analysis section of params.yaml: what the trained models are asked, and how finely."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from matbind.base.config import StrictModel


def _from_zero(strengths: tuple[float, ...]) -> tuple[float, ...]:
    if not strengths or strengths[0] != 0 or list(strengths) != sorted(set(strengths)):
        raise ValueError(f"the strengths {list(strengths)} have to ascend from 0")
    return strengths


Strengths = Annotated[tuple[float, ...], AfterValidator(_from_zero)]
"""Ascending from 0, which is the input as it is."""


class PxrdStrengths(StrictModel):
    """How strongly patterns are perturbed.

    Attributes:
        noise: standard deviation, share of the maximum.
        background: at the first angle, share of the maximum.
        shift: of all peaks, degree two theta.
        broadening: full width at half maximum of a Gaussian, degree two theta.
        low_angles_missing: degrees from the first angle on.
        high_angles_missing: degrees before the last angle.
    """

    noise: Strengths
    background: Strengths
    shift: Strengths
    broadening: Strengths
    low_angles_missing: Strengths
    high_angles_missing: Strengths


class DosStrengths(StrictModel):
    """How strongly densities of states are perturbed.

    Attributes:
        shift: of the Fermi level, eV.
        broadening: standard deviation of a Gaussian, eV.
    """

    shift: Strengths
    broadening: Strengths


class RobustnessSettings(StrictModel):
    """Strengths by modality and perturbation."""

    pxrd: PxrdStrengths
    dos: DosStrengths


class AnalysisSettings(StrictModel):
    """The analyse stage.

    Attributes:
        permutations: relabellings of the materials for a p-value.
        jackknife_groups: groups of materials that are left out in turn for the standard error of an overlap.
        curve_points: of a density curve.
        map_materials: most materials on one map; of more, a random sample is drawn.
        bootstrap_resamples: for the intervals of contributions, Shapley values and probes.
        worst_failures: wrong answers that are listed for a pair.
        pattern_points: points of a pattern that is kept to be drawn.
        robustness: how strongly the inputs are perturbed.
    """

    permutations: int = Field(ge=99)
    jackknife_groups: int = Field(ge=5, le=200)
    curve_points: int = Field(ge=50)
    map_materials: int = Field(ge=50)
    bootstrap_resamples: int = Field(ge=100)
    worst_failures: int = Field(ge=1, le=1000)
    pattern_points: int = Field(ge=100)
    robustness: RobustnessSettings
