"""Settings of one modality."""

from __future__ import annotations

from typing import Any

from matbind.base.config import StrictModel


class ModalitySettings(StrictModel):
    """What one modality is told: how it is featurized, augmented and encoded.

    Each part is an instance of the `Settings` class of features.py, transform.py and encoder.py in its folder.
    """

    features: Any
    transform: Any
    encoder: Any
