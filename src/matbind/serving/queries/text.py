"""A description in words."""

from __future__ import annotations

from matbind.records import Material
from matbind.serving.queries.reading import material
from matbind.settings import Settings

COLUMNS = {"text": "a description of the crystal in words, as Robocrystallographer writes it"}
EXAMPLE = {"text": "NaCl is Halite, Rock Salt structured and crystallizes in the cubic Fm-3m space group."}


def read(column: str, value: str, settings: Settings) -> Material:  # noqa: ARG001
    """Take a description as it is."""
    return material(text=value)
