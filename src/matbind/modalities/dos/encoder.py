"""DOS encoder: a Transformer over patches of the energy axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from matbind.base.config import StrictModel, heads_fit

LONGEST_PLAIN_ATTENTION = 256  # tokens


class Settings(StrictModel):
    """Size of the DOS encoder.

    Attributes:
        width: features of a token.
        layers: Transformer layers.
        heads: attention heads.
        feedforward: hidden features of each layer's perceptron.
        patch: energy bins a token; 1 makes every bin a token, as the paper does.
        dropout: in the Transformer layers.
    """

    width: int = Field(ge=4, le=4096)
    layers: int = Field(ge=1, le=32)
    heads: int = Field(ge=1, le=64)
    feedforward: int = Field(ge=4)
    patch: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        return heads_fit(self)


class Encoder(nn.Module):
    """Densities of states to vectors."""

    def __init__(self, settings: Settings, meta: Mapping[str, Any]) -> None:
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

    def forward(self, view: dict[str, Tensor]) -> Tensor:
        """Encode the densities of a view (see views/dos.py), giving (n_materials, out_dim)."""
        density, mask = torch.sqrt(view["density"]), view["mask"]
        missing = -density.shape[1] % self.patch
        if missing:
            density, mask = nn.functional.pad(density, (0, missing)), nn.functional.pad(mask, (0, missing))
        shape = (len(density), density.shape[1] // self.patch, self.patch)
        tokens = self.embed(density.reshape(*shape)) + self.get_buffer("position")
        known = mask.reshape(*shape).any(dim=2)
        padding = None if bool(known.all()) else ~known
        # The fused attention kernel for CPUs is several times slower than plain matrix products on short sequences.
        short = tokens.device.type == "cpu" and tokens.shape[1] <= LONGEST_PLAIN_ATTENTION
        with sdpa_kernel(SDPBackend.MATH) if short else nullcontext():
            hidden = self.layers(tokens, src_key_padding_mask=padding)
        weight = known[..., None].to(hidden.dtype)
        pooled: Tensor = (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        return pooled


def sinusoids(n: int, width: int) -> Tensor:
    """Sines and cosines of the position at geometrically spaced wavelengths, shape (n, width).

    Source: Vaswani et al. 2017, Section 3.5.
    """
    angle = torch.arange(n)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(angle), torch.cos(angle)], dim=2).flatten(1)[:, :width]
