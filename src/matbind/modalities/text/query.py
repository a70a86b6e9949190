"""A description in words."""

from __future__ import annotations

from pathlib import Path

from matbind.base.content import read_text

COLUMNS = {"text": "a description of the crystal in words, as Robocrystallographer writes it"}
EXAMPLE = {"text": "NaCl is Halite, Rock Salt structured and crystallizes in the cubic Fm-3m space group."}


def read(column: str, text: str, *, records: None) -> str:  # noqa: ARG001
    """Take a description as it is."""
    return text


def read_file(
    path: Path,
    *,
    records: None,  # noqa: ARG001
    wavelength: str | None,  # noqa: ARG001
    n_atoms: int | None,  # noqa: ARG001
) -> tuple[str, str]:
    """Read a text file."""
    return read_text(path), ""
