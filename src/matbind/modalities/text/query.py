"""A description in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matbind.base.content import read_text
from matbind.modalities.text.features import formula_of
from matbind.modalities.text.plain import plain

COLUMNS = {"text": "a description of the crystal in words, as Robocrystallographer writes it"}
EXAMPLE = {"text": "NaCl is Halite, Rock Salt structured and crystallizes in the cubic Fm-3m space group."}


def read(column: str, text: str, **_: Any) -> str:  # noqa: ARG001
    """Return a description as it is."""
    return text


def read_file(path: Path, **_: Any) -> tuple[str, str]:
    """Read a text file; the note says if there is no formula in it."""
    text = read_text(path)
    return text, "" if formula_of(plain(text)) else "no formula was read in it, so the answer rests on its words"
