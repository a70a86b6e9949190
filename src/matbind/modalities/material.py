"""A material with whatever modalities it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from matbind.materials.structure import Structure

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Material:
    """One material."""

    material_id: str
    formula: str  # as the source writes it
    structure: Structure
    split: Split
    values: Mapping[str, Any] = field(default_factory=dict)  # by modality; its `records.py` says of which type
