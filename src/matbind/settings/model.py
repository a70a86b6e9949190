"""Settings of the shared space."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class ModelSettings(StrictModel):
    """The shared space: projection heads and temperature."""

    projection_dim: int = Field(ge=2, le=4096)
    temperature: float = Field(gt=0, le=10)
    learn_temperature: bool
