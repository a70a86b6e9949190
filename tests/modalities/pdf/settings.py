"""The settings of pair distribution functions."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from matbind.base.config import PositiveRange, StrictModel


class FeaturesSettings(StrictModel):
    """The width of a row: `prepare.pdf.n_points`."""

    n_bins: int


class TransformSettings(StrictModel):
    """Augmentation: standard deviation of added noise."""

    noise: float


class EncoderSettings(StrictModel):
    """The size of the perceptron."""

    width: int


def check_records(settings: FeaturesSettings, records: Any) -> None:
    """See that the rows are as wide as the records'."""
    if settings.n_bins != records.n_points:
        raise ValueError(f"n_bins is {settings.n_bins}, expected the {records.n_points} of prepare.pdf.n_points")


class RecordsSettings(StrictModel):
    """The distances of the data set's functions.

    Attributes:
        radius_angstrom: first and last distance.
        n_points: number of distances, evenly spaced.
    """

    radius_angstrom: PositiveRange
    n_points: int


class ValidationSettings(StrictModel):
    """What a function must be."""

    max_quarantined_share: float = Field(ge=0, le=1)
