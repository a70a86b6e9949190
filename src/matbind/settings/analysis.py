"""The analysis section of params.yaml: what the trained models are asked, and how finely."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model

from matbind.base.config import StrictModel
from matbind.modalities.perturbation import row_perturbations
from matbind.modalities.table import value_names


def _from_zero(strengths: tuple[float, ...]) -> tuple[float, ...]:
    if not strengths or strengths[0] != 0 or list(strengths) != sorted(set(strengths)):
        raise ValueError(f"the strengths {list(strengths)} have to ascend from 0")
    return strengths


Strengths = Annotated[tuple[float, ...], AfterValidator(_from_zero)]
"""Strengths of a perturbation, ascending from 0, which is the input as it is."""


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
        robustness: how strongly the queries are perturbed, by modality and perturbation; see
            :func:`robustness_model`.
    """

    permutations: int = Field(ge=99)
    jackknife_groups: int = Field(ge=5, le=200)
    curve_points: int = Field(ge=50)
    map_materials: int = Field(ge=50)
    bootstrap_resamples: int = Field(ge=100)
    worst_failures: int = Field(ge=1, le=1000)
    pattern_points: int = Field(ge=100)
    robustness: dict[str, dict[str, Strengths]]


def robustness_model() -> type[StrictModel]:
    """Return the model of the section `analysis.robustness`: strengths of every perturbation of every modality."""
    fields: dict[str, Any] = {}
    for name in value_names():
        strengths: dict[str, Any] = dict.fromkeys(row_perturbations(name), (Strengths, ...))
        if strengths:
            fields[name] = (create_model(name, __base__=StrictModel, **strengths), ...)
    return create_model("RobustnessSettings", __base__=StrictModel, **fields)
