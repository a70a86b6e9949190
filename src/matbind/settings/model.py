"""Settings that a trained model is made by: those of a modality, and the shared space."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from matbind.base.config import StrictModel
from matbind.modalities.table import part


class ModalitySettings(StrictModel):
    """How one modality is featurized, augmented and encoded.

    Each part is an instance of its class in settings.py of the modality's folder, see :func:`part_models`.
    """

    features: Any
    transform: Any
    encoder: Any


def part_models(name: str) -> dict[str, type[StrictModel]]:
    """Return the class of each part of a modality's settings."""
    settings = part(name, "settings")
    return {
        "features": settings.FeaturesSettings,
        "transform": settings.TransformSettings,
        "encoder": settings.EncoderSettings,
    }


class ModelSettings(StrictModel):
    """The shared space: projection heads and temperature.

    Attributes:
        projection_dim: dimension of the space.
        temperature: of InfoNCE, at the start if it is learned.
        learn_temperature: whether it is.
        hub_part_weight: of InfoNCE between each part of the hub and a spoke, relative to that of the whole hub.
    """

    projection_dim: int = Field(ge=2, le=4096)
    temperature: float = Field(gt=0, le=10)
    learn_temperature: bool
    hub_part_weight: float = Field(ge=0, le=10)
