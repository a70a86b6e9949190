"""The settings of densities of states: their grid, their augmentation, the size of their encoder."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from matbind.base.config import Range, StrictModel
from matbind.materials.formula import ATOMIC_NUMBERS
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


class ValidationSettings(StrictModel):
    """What a density of states must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the densities is bad.
        min_points: fewest energies.
        max_step_ev: widest allowed step between energies.
        window_ev: energies from the Fermi level that must be covered.
        edge_share: a density may begin inside the window if it is at most this share of its maximum there: the bands
            have not begun.
        max_flatness: largest allowed lowest over highest density; a constant has 1.
        min_density: smallest allowed value in states / eV / cell; below zero for methods that overshoot.
        electrons: whose count of valence electrons the integral is compared with; null compares with none.
        electrons_of: electrons of single elements, laid over that table.
        electron_tolerance: relative tolerance of the electron count.
        max_neutrality_offset_ev: largest distance from the Fermi energy to the energies at which the count is reached.
        electron_ratio: smallest and largest electrons up to the Fermi energy over those expected.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    min_points: int = Field(ge=2)
    max_step_ev: float = Field(gt=0)
    window_ev: Range
    edge_share: float = Field(ge=0, le=1)
    max_flatness: float = Field(gt=0, lt=1)
    min_density: float = Field(le=0)
    electrons: Literal["gfn1", "materials-project"] | None
    electrons_of: dict[str, float]
    electron_tolerance: float = Field(ge=0, lt=1)
    max_neutrality_offset_ev: float = Field(ge=0)
    electron_ratio: Range

    @model_validator(mode="after")
    def _known_elements(self) -> Self:
        unknown = [symbol for symbol in self.electrons_of if symbol not in ATOMIC_NUMBERS]
        if unknown:
            raise ValueError(f"electrons_of names {unknown[0]!r}, which is no element")
        return self
