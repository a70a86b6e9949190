"""Layers that several encoders share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ProjectionHead(nn.Module):
    """LayerNorm, linear map without bias, unit length."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_dim)
        self.linear = nn.Linear(in_dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_dim) to (n, out_dim), each row of unit L2 norm, in float32."""
        return F.normalize(self.linear(self.norm(x)).float(), dim=-1)


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
