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
