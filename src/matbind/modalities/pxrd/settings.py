"""The settings of powder patterns: the grid of the network, their augmentation, the size of their encoder."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from matbind.base.config import AngleRange, PositiveRange, StrictModel


class FeaturesSettings(StrictModel):
    """The network's grid.

    Attributes:
        two_theta_deg: first and last edge of the grid.
        n_bins: number of equal bins; a pattern's points are averaged within a bin.
        wavelength_angstrom: of the records' patterns.
        max_strain: reflections up to this strain outside the window are kept, as strain can bring them in.
    """

    two_theta_deg: AngleRange
    n_bins: int = Field(ge=16, le=20000)
    wavelength_angstrom: float = Field(gt=0.1, lt=5)
    max_strain: float = Field(ge=0, le=0.2)


class TransformSettings(StrictModel):
    """Augmentation of powder patterns.

    Attributes:
        crystallite_size_nm: drawn log-uniform from this range for patterns computed from the structure.
        zero_shift_deg: standard deviation of a shift of all angles.
        texture: standard deviation of the logarithm of each peak's intensity.
        noise: standard deviation of additive noise, relative to the maximum.
        background: largest share of the maximum of a smooth background.
        hidden: largest share of the angles that is not measured, at each end; in half of the draws nothing is hidden.
    """

    crystallite_size_nm: PositiveRange
    zero_shift_deg: float = Field(ge=0, le=1)
    texture: float = Field(ge=0, le=1)
    noise: float = Field(ge=0, le=0.5)
    background: float = Field(ge=0, le=0.5)
    hidden: float = Field(ge=0, le=0.45)


class EncoderSettings(StrictModel):
    """Size of the pXRD encoder.

    Attributes:
        widths: channels of the stem and of each stage; one residual block a stage.
        kernel: width of the convolutions of the blocks, in points.
        stride: reduction of the length in every stage but the first.
        pool: number of equal pieces of the axis averaged apart at the end; 1 is global average pooling.
        groups: groups of the group normalisation.
        dropout: on the pooled features.
    """

    widths: tuple[int, ...] = Field(min_length=1)
    kernel: int = Field(ge=3)
    stride: int = Field(ge=1, le=8)
    pool: int = Field(ge=1, le=64)
    groups: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}, expected an odd number")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"widths are {list(self.widths)}, expected multiples of groups ({self.groups})")
        return self


def check_records(settings: FeaturesSettings, records: Any) -> None:
    """Check that the network's bins are laid over the points of the records' patterns: both cover the same angles.

    Raises:
        ValueError: if they do not, or there are more bins than points.
    """
    for key in ("two_theta_deg", "wavelength_angstrom"):
        of_bins, of_points = getattr(settings, key), getattr(records, key)
        if of_bins != of_points:
            raise ValueError(f"{key} is {of_bins}, expected {of_points} as in prepare.pxrd.{key}")
    if settings.n_bins > records.n_points:
        raise ValueError(
            f"n_bins is {settings.n_bins}, expected at most the {records.n_points} of prepare.pxrd.n_points"
        )


class Grid(StrictModel):
    """The angles of a data set's patterns, evenly spaced.

    Attributes:
        wavelength_angstrom: of the X-rays.
        two_theta_deg: first and last angle.
        n_points: number of angles.
    """

    wavelength_angstrom: float = Field(gt=0.1, lt=5)
    two_theta_deg: AngleRange
    n_points: int = Field(ge=100)


class RecordsSettings(Grid):
    """The angles of the data set's patterns, and how one is simulated for a material without a measured one.

    Attributes:
        crystallite_size_nm: bounds of the size by Scherrer's formula; drawn log-uniform for every material.
    """

    crystallite_size_nm: PositiveRange


class ValidationSettings(StrictModel):
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
