"""DOS encoder: a Transformer over patches of the energy axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn, sqrt

from matbind.modalities.dos.settings import EncoderSettings
from matbind.modalities.dos.transform import DosBatch
from matbind.modalities.layers import masked_mean, sinusoids, transformed


class Encoder(nn.Module):
    """Densities of states to vectors."""

    def __init__(self, settings: EncoderSettings, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.out_dim = settings.width
        self.patch = settings.patch
        n_tokens = -(-meta["n_bins"] // settings.patch)
        self.embed = nn.Linear(settings.patch, settings.width)
        self.register_buffer("position", sinusoids(n_tokens, settings.width), persistent=False)
        layer = nn.TransformerEncoderLayer(
            settings.width,
            settings.heads,
            settings.feedforward,
            settings.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)

    def forward(self, batch: DosBatch) -> Tensor:
        """Encode densities of states, giving (n_materials, out_dim)."""
        density, mask = sqrt(batch.density), batch.mask
        missing = -density.shape[1] % self.patch
        if missing:
            density, mask = nn.functional.pad(density, (0, missing)), nn.functional.pad(mask, (0, missing))
        shape = (len(density), density.shape[1] // self.patch, self.patch)
        tokens = self.embed(density.reshape(*shape)) + self.get_buffer("position")
        known = mask.reshape(*shape).any(dim=2)
        hidden = tokens
        for layer in self.layers.layers:
            hidden = transformed(hidden, layer, None if bool(known.all()) else known)
        return masked_mean(hidden, known)
