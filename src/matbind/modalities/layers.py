"""Layers that several encoders share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.normed import normed_relu

LONGEST_PLAIN_ATTENTION = 256  # tokens


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
        split: tuple[Tensor, ...] = x.split(self.parts, dim=1)  # type: ignore[no-untyped-call]
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
        """Map (n, n_in, 1, length) to (n, n_out, 1, length / stride), fastest with channels last in memory."""
        y = normed_relu(convolve(x, self.first), self.first_norm)
        shortcut = x if isinstance(self.shortcut, nn.Identity) else convolve(x, self.shortcut)
        return normed_relu(convolve(y, self.second), self.second_norm, shortcut)


def convolve(x: Tensor, layer: nn.Module) -> Tensor:
    """Apply a one-dimensional convolution to (n, n_in, 1, length): only in two dimensions can channels come last.

    There the convolutions of oneDNN need two thirds of the time.
    """
    assert isinstance(layer, nn.Conv1d)
    weight = layer.weight[:, :, None]
    return F.conv2d(x, weight, stride=(1, *layer.stride), padding=(0, int(layer.padding[0])))


def channels_last(x: Tensor) -> Tensor:
    """Make (n, channels, 1, length) of (n, channels, length), with the channels last in memory."""
    return x[:, :, None].contiguous(memory_format=torch.channels_last)


def averages(x: Tensor, n: int) -> Tensor:
    """Average n equal pieces of the axis apart, (n_rows, channels, 1, length) to (n_rows, channels * n)."""
    x = x[:, :, 0]
    length = x.shape[2]
    if length % n:
        return F.adaptive_avg_pool1d(x, n).flatten(1)
    return x.reshape(*x.shape[:2], n, length // n).mean(dim=3).flatten(1)


def transformed(x: Tensor, layer: nn.Module, known: Tensor | None) -> Tensor:
    """Apply a layer of a Transformer that normalises first, to (n, length, width).

    The layer's own forward pass asks several times over whether a row is masked as a whole.

    Args:
        x: tokens.
        layer: the library's.
        known: (n, length), which tokens are attended to; None for all.
    """
    assert isinstance(layer, nn.TransformerEncoderLayer)
    attention = layer.self_attn
    projected = F.linear(layer.norm1(x), attention.in_proj_weight, attention.in_proj_bias)
    split = projected.view(*x.shape[:2], 3, attention.num_heads, attention.head_dim)
    query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
    attended = attend(query, key, value, None if known is None else known[:, None, None, :])
    x = x + layer.dropout1(attention.out_proj(attended.transpose(1, 2).flatten(2)))
    update: Tensor = layer.dropout2(layer.linear2(layer.dropout(F.gelu(layer.linear1(layer.norm2(x))))))
    return x + update


def attend(query: Tensor, key: Tensor, value: Tensor, known: Tensor | None) -> Tensor:
    """Attend with softmax(q k / sqrt(d)) v, each (n, heads, length, d); keys that are not known weigh nothing."""
    if query.device.type == "cpu" and query.shape[2] <= LONGEST_PLAIN_ATTENTION:
        # The fused kernel for CPUs is several times slower than plain matrix products on short sequences.
        score = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
        if known is not None:
            score = score.masked_fill(~known, torch.finfo(score.dtype).min)
        attended: Tensor = score.softmax(dim=3).to(value.dtype) @ value
        return attended
    return F.scaled_dot_product_attention(query, key, value, attn_mask=known)


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
