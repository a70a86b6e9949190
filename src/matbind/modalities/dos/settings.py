"""The settings of densities of states: their grid, their augmentation, the size of their encoder."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import Range, StrictModel
from matbind.modalities.transformer_settings import TransformerSettings


class FeaturesSettings(StrictModel):
    """The energy grid.

    Attributes:
        window_ev: first and last edge of the grid, relative to the Fermi energy.
        n_bins: number of equal bins.
    """

    window_ev: Range
    n_bins: int = Field(ge=8, le=20000)


class TransformSettings(StrictModel):
    """Augmentation of densities of states.

    Attributes:
        shift_ev: standard deviation of a rigid shift in energy.
        broadening_ev: the width of an added Gaussian broadening is uniform up to this standard deviation.
        noise: standard deviation of relative noise on every bin.
        scale: standard deviation of the logarithm of a factor on all of it.
    """

    shift_ev: float = Field(ge=0, le=5)
    broadening_ev: float = Field(ge=0, le=2)
    noise: float = Field(ge=0, le=1)
    scale: float = Field(ge=0, le=1)


class EncoderSettings(TransformerSettings):
    """Size of the DOS encoder.

    Attributes:
        layers: Transformer layers.
        patch: energy bins a token; 1 makes every bin a token, as the paper does.
    """

    layers: int = Field(ge=1, le=32)
    patch: int = Field(ge=1)
