"""pXRD encoder: a one-dimensional residual network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.base.config import StrictModel
from matbind.modalities.layers import ResidualBlock
from matbind.modalities.pxrd.transform import PatternBatch


class Settings(StrictModel):
    """Size of the pXRD encoder.

    Attributes:
        widths: channels of the stem and of each stage; one residual block a stage.
        kernel: width of the convolutions of the blocks, in points.
        stride: reduction of the length in every stage but the first.
        pool: number of equal pieces of the axis averaged apart at the end; 1 is global average pooling.
        groups: groups of the group normalisation.
        dropout: on the pooled features.
    """

    widths: tuple[int, ...] = Field(min_length=1)
    kernel: int = Field(ge=3)
    stride: int = Field(ge=1, le=8)
    pool: int = Field(ge=1, le=64)
    groups: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}, expected an odd number")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"widths are {list(self.widths)}, expected multiples of groups ({self.groups})")
        return self


class Encoder(nn.Module):
    """Powder patterns to vectors."""

    def __init__(self, settings: Settings, meta: Mapping[str, Any]) -> None:
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
