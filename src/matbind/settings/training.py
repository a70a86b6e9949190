"""Settings of the training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from matbind.base.config import StrictModel


class TrainingSettings(StrictModel):
    """AdamW, its schedule and the stopping rule."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    learning_rate_factors: dict[str, Annotated[float, Field(ge=0)]]
    weight_decay: float = Field(ge=0)
    warmup_share: float = Field(ge=0, lt=1)
    gradient_clip: float = Field(gt=0)
    ema_decay: float = Field(ge=0, lt=1)
    precision: str = Field(pattern="^(auto|float32|bfloat16)$")
    validate_every: int = Field(ge=1)
    patience: int = Field(ge=1)
