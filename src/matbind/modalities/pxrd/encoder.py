"""pXRD encoder: a one-dimensional residual network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.layers import ResidualBlock
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
        self.pool = nn.AdaptiveAvgPool1d(min(settings.pool, length))
        self.dropout = nn.Dropout(settings.dropout)
        self.out_dim = widths[-1] * min(settings.pool, length)

    def forward(self, batch: PatternBatch) -> Tensor:
        """Encode powder patterns, giving (n_materials, out_dim)."""
        x = torch.stack([batch.pattern, batch.mask.to(batch.pattern.dtype)], dim=1)
        x = F.relu(self.stem_norm(self.stem(x)))
        x = self.blocks(F.max_pool1d(x, 3, 2, 1))
        pooled: Tensor = self.dropout(self.pool(x).flatten(1))
        return pooled
