"""A perceptron for pair distribution functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .settings import EncoderSettings
from .transform import PdfBatch


class Encoder(nn.Module):
    """Functions to vectors."""

    def __init__(self, settings: EncoderSettings, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = settings.width
        self.layers = nn.Sequential(
            nn.Linear(meta["n_bins"], settings.width), nn.GELU(), nn.Linear(settings.width, settings.width)
        )

    def forward(self, batch: PdfBatch) -> Tensor:
        """Encode a batch, giving (n_materials, out_dim)."""
        encoded: Tensor = self.layers(batch.density)
        return encoded
