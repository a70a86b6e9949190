"""Settings of the prepare stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from matbind.base.config import StrictModel


class SplitSettings(StrictModel):
    """Shares of the reduced formulas that go to validation and test; the rest trains."""

    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)


class PrepareSettings(StrictModel):
    """The prepare stage: read the source, bring the values to one form, split.

    A modality whose `settings.py` has a class `RecordsSettings` adds a section of its name, such as `pxrd`.
    """

    source: Literal["tables", "folder", "materials-project"]
    data: Path
    wavelength: float | str | None
    limit: int | None = Field(ge=30)
    split: SplitSettings

    def records(self, name: str) -> Any:
        """Return the section of a modality, None where it has none."""
        return getattr(self, name, None)
