"""Which modality a file holds: by its name, and where that leaves it open by its content."""

from __future__ import annotations

import re
from pathlib import Path

from matbind.base.content import bare_name
from matbind.base.errors import UserError
from matbind.modalities.table import modality_names, part

VASP_NAME = re.compile(r"(poscar|contcar)(?:[._-].+)?", re.IGNORECASE)
VASP_SUFFIXES = {".vasp": ".vasp", ".poscar": "poscar", ".contcar": "contcar"}
VASPRUN = "vasprun.xml"


def kind_of(name: str) -> str:
    """Return what `SUFFIXES` of the modalities call a file: its ending, or its whole name as VASP gives it.

    Args:
        name: of the file, without `.gz`.
    """
    lowered = name.lower()
    if lowered.endswith(VASPRUN):
        return VASPRUN
    suffix = Path(lowered).suffix
    if suffix in VASP_SUFFIXES:
        return VASP_SUFFIXES[suffix]
    vasp = VASP_NAME.fullmatch(lowered)
    return vasp[1] if vasp else suffix


def qualified(file_name: str) -> str | None:
    """Return the modality that the name of a file says outright, such as `NAME.dos.csv`; None if it says none."""
    qualifier = Path(Path(file_name).stem).suffix.lower()
    return next((name for name in modality_names() if qualifier in part(name, "files").QUALIFIERS), None)


def candidates(file_name: str) -> list[str]:
    """Return the modalities that a file of this name may hold, without a look into it."""
    named = qualified(file_name)
    kind = kind_of(file_name)
    return [named] if named else [name for name in modality_names() if kind in part(name, "files").SUFFIXES]


def modality_of(path: Path) -> str:
    """Return the modality of a file.

    Raises:
        UserError: if it cannot be told, or the file cannot be read.
    """
    names = candidates(bare_name(path))
    if not names:
        known = "; ".join(f"{name}: {', '.join(part(name, 'files').SUFFIXES)}" for name in modality_names())
        raise UserError(
            f"{path}: what it holds cannot be told from its name, expected one of these endings ({known}); or say it "
            "by --as"
        )
    return names[0] if len(names) == 1 else most_like(path, names)


def most_like(path: Path, names: list[str]) -> str:
    """Return the one of several modalities that the content of a file speaks for.

    Raises:
        UserError: if it speaks for none or for several, or the file cannot be read.
    """
    likeness = {name: part(name, "files").likeness(path) for name in names}
    best = max(likeness.values())
    likely = [name for name, value in likeness.items() if value == best]
    if best == 0 or len(likely) > 1:
        spoken_for = " and ".join(likely) if best else f"none of {', '.join(names)}"
        examples = ", ".join(
            f"{_example(path, qualifiers[0])} if it is {name}"
            for name in names
            if (qualifiers := part(name, "files").QUALIFIERS)
        )
        raise UserError(f"{path}: its content speaks for {spoken_for}; name the file {examples}")
    return likely[0]


def _example(path: Path, qualifier: str) -> str:
    bare = Path(path.name.removesuffix(".gz"))
    return f"{bare.stem}{qualifier}{bare.suffix}"
