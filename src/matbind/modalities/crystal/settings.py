"""The settings of crystals: how they become a graph, how they are augmented, how large their encoder is."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from matbind.base.config import StrictModel

GROUPS = 8  # of the group normalisation of the reciprocal readout


class FeaturesSettings(StrictModel):
    """How a crystal becomes a graph.

    Attributes:
        cutoff_angstrom: neighbours farther than this are left out.
        max_neighbors: nearest neighbours kept of every site.
        g_stop_per_angstrom: largest |g| = 1/d of the partial structure factors; 0 keeps none.
    """

    cutoff_angstrom: float = Field(gt=0, le=20)
    max_neighbors: int = Field(ge=1, le=64)
    g_stop_per_angstrom: float = Field(ge=0.0, le=5.0)


class TransformSettings(StrictModel):
    """Augmentation of crystals beyond the shared strain.

    Attributes:
        jitter_angstrom: standard deviation of every site's random displacement, each component.
    """

    jitter_angstrom: float = Field(ge=0, le=0.5)


class ReciprocalSettings(StrictModel):
    """Size of the readout.

    Attributes:
        channels: number of learned sets of scattering powers.
        n_bins: points of the grid of |g|.
        g_stop_per_angstrom: last edge of the grid.
        widths: channels of the stages of the residual network, each a fourth as long as the one before.
        pool: equal pieces of the axis averaged apart at the end.
        width: features of the patterns.
        cell: features of the reduced primitive cell, beside those of the patterns.
    """

    channels: int = Field(ge=1, le=256)
    n_bins: int = Field(ge=16, le=8192)
    g_stop_per_angstrom: float = Field(gt=0, le=5)
    widths: tuple[int, ...] = Field(min_length=1)
    pool: int = Field(ge=1, le=64)
    width: int = Field(ge=1, le=4096)
    cell: int = Field(ge=1, le=4096)

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        if any(width % GROUPS for width in self.widths):
            raise ValueError(f"widths are {list(self.widths)}, expected multiples of {GROUPS}")
        return self


class EncoderSettings(StrictModel):
    """Size of the crystal encoder.

    Attributes:
        width: features of a site.
        layers: number of convolutions.
        convolution: name of the layer in `matbind.modalities.crystal.convolution.CONVOLUTIONS`. Models that were
            trained before there was a choice have `SplitCGConv`.
        gaussians: number of Gaussians over which an edge length is expanded.
        gaussian_stop_angstrom: centre of the last Gaussian; the first is at 0.
        gaussian_width_angstrom: the expansion is exp(-(d - centre)^2 / width^2).
        branch_dropout: in training a material shows its sites only with this probability, and its reciprocal readout
            only with the same. Each then has to stand for the crystal alone, which carries chemistry over to the
            pattern and the cell over to the text.
        reciprocal: the long-range readout beside the pooled sites; null for none, as in the paper.
    """

    width: int = Field(ge=4, le=4096)
    layers: int = Field(ge=1, le=32)
    convolution: Literal["SplitCGConv", "CGConv", "GATv2Conv", "TransformerConv"] = "SplitCGConv"
    gaussians: int = Field(ge=2, le=512)
    gaussian_stop_angstrom: float = Field(gt=0, le=20)
    gaussian_width_angstrom: float = Field(gt=0, le=5)
    reciprocal: ReciprocalSettings | None
    branch_dropout: float = Field(ge=0, lt=0.5)
