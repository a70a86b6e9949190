"""The settings that all encoders with a Transformer have."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

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
