"""The random strain of training."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class DeformationSettings(StrictModel):
    """Random strain shared by all modalities of a material within one training step, symmetry kept."""

    volumetric: float = Field(ge=0, le=0.1)
    shape: float = Field(ge=0, le=0.1)
