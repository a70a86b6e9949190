"""pXRD encoder: a one-dimensional residual network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from matbind.modalities.layers import ResidualBlock, averages, channels_last, convolve
from matbind.modalities.normed import normed_relu, pooled
from matbind.modalities.pxrd.settings import EncoderSettings
from matbind.modalities.pxrd.transform import PatternBatch


class Encoder(nn.Module):
    """Powder patterns to vectors."""

    def __init__(self, settings: EncoderSettings, meta: Mapping[str, Any]) -> None:
        super().__init__()
        widths = settings.widths
        self.stem = nn.Conv1d(2, widths[0], 7, 2, 3, bias=False)
        self.stem_norm = nn.GroupNorm(settings.groups, widths[0])
        strides = [1] + [settings.stride] * (len(widths) - 1)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(n_in, n_out, kernel=settings.kernel, stride=stride, groups=settings.groups)
                for n_in, n_out, stride in zip((widths[0], *widths), widths, strides, strict=False)
            )
        )
        length = math.ceil(meta["n_bins"] / 4 / settings.stride ** (len(widths) - 1))
        self.pool = min(settings.pool, length)
        self.dropout = nn.Dropout(settings.dropout)
        self.out_dim = widths[-1] * self.pool

    def forward(self, batch: PatternBatch) -> Tensor:
        """Encode powder patterns, giving (n_materials, out_dim)."""
        x = torch.stack([batch.pattern, batch.mask.to(batch.pattern.dtype)], dim=1)
        x = pooled(normed_relu(convolve(channels_last(x), self.stem), self.stem_norm))
        read: Tensor = self.dropout(averages(self.blocks(x), self.pool))
        return read
