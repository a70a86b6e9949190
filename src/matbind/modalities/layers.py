"""What several encoders share: layers, and the settings of Transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.base.config import StrictModel


class TransformerSettings(StrictModel):
    """Size of the layers of a Transformer.

    Attributes:
        width: features of a token.
        heads: attention heads.
        feedforward: hidden features of each layer's perceptron.
        dropout: in the layers.
    """

    width: int = Field(ge=4, le=4096)
    heads: int = Field(ge=1, le=64)
    feedforward: int = Field(ge=4)
    dropout: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_share_the_width_evenly(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of heads ({self.heads})")
        return self


class ProjectionHead(nn.Module):
    """LayerNorm, linear map without bias, unit length."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_dim)
        self.linear = nn.Linear(in_dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_dim) to (n, out_dim), each row of unit L2 norm, in float32."""
        return F.normalize(self.project(x), dim=-1)

    def project(self, x: Tensor) -> Tensor:
        """Map (n, in_dim) to (n, out_dim), in float32."""
        projected: Tensor = self.linear(self.norm(x)).float()
        return projected


class PartwiseHead(nn.Module):
    """A projection head for an encoder of several parts: each is mapped into a block of the space for itself."""

    def __init__(self, parts: Sequence[int], out_dim: int) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.heads = nn.ModuleList(
            ProjectionHead(width, block) for width, block in zip(parts, blocks(out_dim, len(parts)), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, sum of parts) to (n, out_dim), each row of unit L2 norm, in float32."""
        split = x.split(self.parts, dim=1)
        projected = [head.project(part) for head, part in zip(self.heads, split, strict=True)]  # type: ignore[operator]
        return F.normalize(torch.cat(projected, dim=1), dim=-1)


def blocks(dim: int, n: int) -> list[int]:
    """Split the dimensions of a space into n blocks, as even as can be."""
    return [dim // n + (i < dim % n) for i in range(n)]


class ResidualBlock(nn.Module):
    """Two convolutions with group normalisation, and a shortcut that is projected only where the shape changes."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.first = nn.Conv1d(n_in, n_out, kernel, stride, pad, bias=False)
        self.first_norm = nn.GroupNorm(groups, n_out)
        self.second = nn.Conv1d(n_out, n_out, kernel, 1, pad, bias=False)
        self.second_norm = nn.GroupNorm(groups, n_out)
        same = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv1d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, length) to (n, n_out, length / stride)."""
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Average the tokens of each row that count, (n, length, width) to (n, width); 0 where none does."""
    weight = mask[..., None].to(tokens.dtype)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def sinusoids(n: int, width: int) -> Tensor:
    """Compute sines and cosines of the position at geometrically spaced wavelengths, shape (n, width).

    Source: Vaswani et al. 2017, Section 3.5.
    """
    angle = torch.arange(n)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(angle), torch.cos(angle)], dim=2).flatten(1)[:, :width]
