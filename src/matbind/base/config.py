"""The base of every settings class, and what several of them check."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

STRAIGHT_BACK_DEG = 180.0


class StrictModel(BaseModel):
    """Immutable settings in which an unknown key is an error: a misspelt one would be silently off."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"the first of {list(bounds)} has to be below the second")
    return bounds


def _positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError(f"the numbers of {list(bounds)} have to be above 0, the first not above the second")
    return bounds


def _angles(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] < bounds[1] < STRAIGHT_BACK_DEG:
        raise ValueError(f"the angles {list(bounds)} have to ascend between 0 and 180 degrees")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""A pair of numbers, low then high."""
PositiveRange = Annotated[tuple[float, float], AfterValidator(_positive)]
"""A pair of positive numbers, low then high; equal ones leave nothing to draw."""
AngleRange = Annotated[tuple[float, float], AfterValidator(_angles)]
"""First and last two theta in degrees."""
