"""Settings of the evaluation."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class EvaluationSettings(StrictModel):
    """Retrieval on the test split."""

    bootstrap_resamples: int = Field(ge=100)
    chunk_size: int = Field(ge=16)
