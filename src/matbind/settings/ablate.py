"""How the combinations are run."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class AblateSettings(StrictModel):
    """How the 15 combinations are run: which of them, how many at a time, how often one is tried again."""

    combinations: list[str] | None
    workers: int = Field(ge=0)
    retries: int = Field(ge=0)
