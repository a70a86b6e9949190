"""Settings that a trained model is made by: those of a modality, and the shared space."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from matbind.base.config import StrictModel


class ModalitySettings(StrictModel):
    """How one modality is featurized, augmented and encoded.

    Each part is an instance of the `Settings` class of features.py, transform.py and encoder.py in its folder.
    """

    features: Any
    transform: Any
    encoder: Any


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
