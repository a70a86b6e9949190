"""Which files of a folder hold what of which material: by name, and where that leaves it open by content."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from matbind.base.content import bare_name, read_text, refusals_of
from matbind.base.errors import UserError
from matbind.base.text_columns import parse_columns, share_of_rows
from matbind.modalities.crystal.files import cif_blocks
from matbind.modalities.dos.files import looks_like_dos
from matbind.modalities.pxrd import files as pattern_files
from matbind.modalities.pxrd.files_cif import holds_pattern
from matbind.modalities.pxrd.files_text import could_be_angles, looks_like_pattern

Modality = Literal["crystal", "dos", "pxrd", "text"]
MODALITIES: tuple[Modality, ...] = ("crystal", "dos", "pxrd", "text")
QUALIFIERS: dict[str, Modality] = {".dos": "dos", ".xrd": "pxrd", ".pxrd": "pxrd"}
OPEN_SUFFIXES = (".txt", ".csv", ".dat")
VASPRUN = "vasprun.xml"
PROPERTIES = "properties.csv"
PREFERENCE: dict[Modality, tuple[str, ...]] = {
    "crystal": (".cif", "contcar", ".vasp", "poscar", VASPRUN),
    "dos": (".json", VASPRUN, ".csv", ".dat", ".txt"),
    "pxrd": pattern_files.SUFFIXES,
    "text": (".txt", ".md"),
}
"""Of several files with the same modality of one material the first in this order is read."""
VASP_NAME = re.compile(r"(POSCAR|CONTCAR)(?:[._-].+)?", re.IGNORECASE)
VASP_SUFFIXES = {".vasp": ".vasp", ".poscar": "poscar", ".contcar": "contcar"}
MOSTLY_NUMBERS = 0.5  # share of rows that makes a text columns of numbers


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a data block of it, that holds one modality of one material.

    Attributes:
        material_id: path below the folder, without its ending.
        modality: what it holds.
        path: relative to the folder, with slashes.
        kind: its ending or name, as `PREFERENCE` has it.
        block: of a CIF with several structures.
    """

    material_id: str
    modality: Modality
    path: str
    kind: str
    block: str | None = None


@dataclass(slots=True)
class Contents:
    """What a folder holds.

    Attributes:
        found: what is to be read, one a modality of a material, in the order of modalities and material_id.
        digests: of the bytes of each file.
        excluded: rows of the table of that name.
        ignored: number of other files by ending.
    """

    found: list[Found] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    excluded: list[tuple[str, str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def list_contents(directory: Path) -> Contents:
    """Look through a folder and all below it; hidden files and folders, whose names begin with a point, are left out.

    Raises:
        UserError: if there is no such folder.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: there is no such folder, expected one with structure files")
    contents = Contents()
    candidates: dict[tuple[Modality, str], list[Found]] = {}
    for path in _files(directory):
        relative = path.relative_to(directory).as_posix()
        try:
            files = _classified(path, relative, directory)
            if files:
                with refusals_of(path), path.open("rb") as file:
                    contents.digests[relative] = hashlib.file_digest(file, "sha256").hexdigest()
        except UserError as error:
            reason = str(error).replace(str(path), relative)
            contents.excluded.append((_named(relative, directory)[0], _expected(relative, directory), reason))
            continue
        if not files:
            contents.ignored[path.suffix.lower() or path.name] += relative != PROPERTIES
            continue
        for each in files:
            candidates.setdefault((each.modality, each.material_id), []).append(each)
    for modality in MODALITIES:
        for key in sorted(key for key in candidates if key[0] == modality):
            _choose(candidates[key], contents)
    _leave_out_orphans(contents)
    return contents


def _files(directory: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _named(relative: str, directory: Path) -> tuple[str, str, Modality | None]:  # noqa: PLR0911
    """Material, ending or name in small letters, and the modality if the name says it."""
    home, slash, name = relative.rpartition("/")
    bare = name[:-3] if name.lower().endswith(".gz") else name
    lowered = bare.lower()
    of_folder = home or directory.resolve().name
    if lowered == VASPRUN:
        return of_folder, VASPRUN, "dos"
    if lowered.endswith("." + VASPRUN):
        return home + slash + bare[: -len(VASPRUN) - 1], VASPRUN, "dos"
    if lowered in {"poscar", "contcar"}:
        return of_folder, lowered, "crystal"
    stem, ending = Path(bare).stem, Path(lowered).suffix
    if ending in VASP_SUFFIXES:
        return home + slash + stem, VASP_SUFFIXES[ending], "crystal"
    if found := VASP_NAME.fullmatch(bare):
        return home + slash + bare, found[1].lower(), "crystal"
    qualifier = Path(stem).suffix
    if qualifier.lower() in QUALIFIERS:
        return home + slash + stem.removesuffix(qualifier), ending, QUALIFIERS[qualifier.lower()]
    return home + slash + stem, ending, None


def _classified(path: Path, relative: str, directory: Path) -> list[Found]:
    """What a file holds; nothing if it is of no kind that is read.

    Raises:
        UserError: if it is unreadable, or neither name nor content say what it holds.
    """
    material_id, kind, modality = _named(relative, directory)
    if kind == VASPRUN:
        return [Found(material_id, each, relative, kind) for each in ("crystal", "dos")]
    if modality is not None:
        return [Found(material_id, modality, relative, kind)]
    if relative == PROPERTIES:
        return []
    if kind == ".cif":
        return _of_cif(path, material_id, relative)
    if kind in OPEN_SUFFIXES:
        return [Found(material_id, _by_content(path, kind), relative, kind)]
    known = next((each for each in MODALITIES if kind in PREFERENCE[each]), None)
    return [] if known is None else [Found(material_id, known, relative, kind)]


def _of_cif(path: Path, material_id: str, relative: str) -> list[Found]:
    """A CIF holds structures, powder patterns, or both."""
    with refusals_of(path):
        text = read_text(path)
    blocks = [name for name, _ in cif_blocks(text)]
    pattern = [Found(material_id, "pxrd", relative, ".cif")] if holds_pattern(text) else []
    if len(blocks) > 1:
        of_blocks = [(f"{material_id}#{name.replace('/', '_')}", name) for name in blocks]
        return [*(Found(of, "crystal", relative, ".cif", name) for of, name in of_blocks), *pattern]
    if pattern and not blocks:
        return pattern
    return [Found(material_id, "crystal", relative, ".cif"), *pattern]


def _by_content(path: Path, kind: str) -> Modality:
    """What a .txt, .csv or .dat holds: text, or columns of numbers whose header speaks of angles or of energies."""
    with refusals_of(path):
        text = read_text(path)
        if share_of_rows(text) < MOSTLY_NUMBERS:
            if kind == ".txt":
                return "text"
            raise ValueError("it holds no columns of numbers, expected a powder pattern or a density of states")
        columns = parse_columns(text)
        pattern, dos = looks_like_pattern(columns), looks_like_dos(columns)
        if pattern != dos:
            return "pxrd" if pattern else "dos"
        if not dos and could_be_angles(columns):
            return "pxrd"
        found = "both angles and energies" if dos else "neither angles nor energies"
        raise ValueError(
            f"its header speaks of {found}; name the file {_example(path, 'xrd')} if it is a powder pattern, "
            f"{_example(path, 'dos')} if it is a density of states"
        )


def _example(path: Path, qualifier: str) -> str:
    bare = Path(path.name.removesuffix(".gz"))
    return f"{bare.stem}.{qualifier}{bare.suffix}"


def _choose(found: list[Found], contents: Contents) -> None:
    """Keep the first by preference; what comes along inside a file of another modality is used only if it is alone."""

    def rank(each: Found) -> tuple[int, str]:
        order = PREFERENCE[each.modality]
        return len(order) if _comes_along(each) else order.index(each.kind), each.path

    first, *others = sorted(found, key=rank)
    contents.found.append(first)
    for each in others:
        if not _comes_along(each):
            reason = f"{each.path}: not read, as {first.path} holds the same of this material"
            contents.excluded.append((each.material_id, each.modality, reason))


def _comes_along(found: Found) -> bool:
    own = bare_name(Path(found.path))
    return (found.modality == "crystal" and found.kind == VASPRUN) or (
        found.modality == "pxrd" and own.endswith(".cif") and not own.endswith((".xrd.cif", ".pxrd.cif"))
    )


def _leave_out_orphans(contents: Contents) -> None:
    crystals = {each.material_id for each in contents.found if each.modality == "crystal"}
    several = {each.material_id.partition("#")[0] for each in contents.found if each.block is not None}
    kept = []
    for each in contents.found:
        if each.material_id in crystals:
            kept.append(each)
            continue
        if each.material_id in several:
            reason = (
                f"{each.path}: {each.material_id}.cif holds several structures, name the file {each.material_id}#NAME"
            )
        else:
            reason = f"{each.path}: no structure file of this name ({each.material_id}.cif, .vasp ...) is beside it"
        contents.excluded.append((each.material_id, each.modality, reason))
    contents.found = kept


def _expected(relative: str, directory: Path) -> Modality:
    """The modality under which a file that could not be told is listed."""
    _, kind, modality = _named(relative, directory)
    likely: dict[str, Modality] = {".cif": "crystal", ".txt": "text"}
    return modality or likely.get(kind, "pxrd")
