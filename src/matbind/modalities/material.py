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
    """One material.

    Attributes:
        material_id: its name in the data set.
        formula: as the source writes it.
        structure: the crystal, which every material has.
        split: side of the split.
        values: what it holds besides, by modality; see `records.py` of each for the type.
    """

    material_id: str
    formula: str
    structure: Structure
    split: Split
    values: Mapping[str, Any] = field(default_factory=dict)
