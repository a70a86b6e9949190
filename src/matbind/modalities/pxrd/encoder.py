"""pXRD encoder: a one-dimensional residual network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from matbind.base.config import StrictModel
from matbind.modalities.layers import ResidualBlock, averages, channels_last, convolve
from matbind.modalities.normed import normed_relu, pooled
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
        self.pool = min(settings.pool, length)
        self.dropout = nn.Dropout(settings.dropout)
        self.out_dim = widths[-1] * self.pool

    def forward(self, batch: PatternBatch) -> Tensor:
        """Encode powder patterns, giving (n_materials, out_dim)."""
        x = torch.stack([batch.pattern, batch.mask.to(batch.pattern.dtype)], dim=1)
        x = pooled(normed_relu(convolve(channels_last(x), self.stem), self.stem_norm))
        read: Tensor = self.dropout(averages(self.blocks(x), self.pool))
        return read
