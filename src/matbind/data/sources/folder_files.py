"""Which files of a folder hold what of which material: by name, and where that leaves it open by content."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matbind.base.content import refusals_of
from matbind.base.errors import UserError
from matbind.modalities.recognition import candidates, kind_of, most_like, qualified
from matbind.modalities.table import modality_names, part, structure_name

PROPERTIES = "properties.csv"


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a data block of it, that holds one modality of one material.

    Attributes:
        material_id: path below the folder, without its ending.
        modality: what it holds.
        path: relative to the folder, with slashes.
        rank: of several with the same modality of one material the lowest is read.
        comes_along: whether the file is one of another modality, so that this is used only where there is no other.
        block: of a file that holds several structures.
    """

    material_id: str
    modality: str
    path: str
    rank: int
    comes_along: bool = False
    block: str | None = None


@dataclass(slots=True)
class Contents:
    """What a folder holds.

    Attributes:
        sources: what is to be read, one a modality of a material, in the order of modalities and material_id.
        digests: of the bytes of each file.
        excluded: rows of the table of that name.
        ignored: number of other files by ending.
    """

    sources: list[Source] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    excluded: list[tuple[str, str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def of(self, modality: str) -> list[Source]:
        """Return the sources of one modality."""
        return [source for source in self.sources if source.modality == modality]


def list_contents(directory: Path) -> Contents:
    """Look through a folder and all below it; hidden files and folders, whose names begin with a point, are left out.

    Raises:
        UserError: if there is no such folder.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: there is no such folder, expected one with structure files")
    contents = Contents()
    by_value: dict[tuple[str, str], list[Source]] = {}
    for path in _files(directory):
        relative = path.relative_to(directory).as_posix()
        names = [] if relative == PROPERTIES else candidates(_unpacked(path.name))
        if not names:
            contents.ignored[path.suffix.lower() or path.name] += relative != PROPERTIES
            continue
        material_id = _material_id(relative, directory)
        try:
            sources = _sources(path, relative, material_id, names)
            with refusals_of(path), path.open("rb") as file:
                contents.digests[relative] = hashlib.file_digest(file, "sha256").hexdigest()
        except UserError as error:
            reason = str(error).replace(str(path), relative)
            contents.excluded.append((material_id, _primary(path, names), reason))
            continue
        for source in sources:
            by_value.setdefault((source.modality, source.material_id), []).append(source)
    for modality in modality_names():
        for key in sorted(key for key in by_value if key[0] == modality):
            _choose(by_value[key], contents)
    _leave_out_orphans(contents)
    return contents


def _files(directory: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _material_id(relative: str, directory: Path) -> str:
    """Return the path without ending and qualifier; that of the folder where VASP gave the file its whole name."""
    parent, slash, name = relative.rpartition("/")
    bare = _unpacked(name)
    kind = kind_of(bare)
    stem = bare[: -len(kind)].removesuffix(".") if bare.lower().endswith(kind) else bare
    if qualified(bare):
        stem = Path(stem).stem
    return parent + slash + stem if stem else parent or directory.resolve().name


def _rank(path: Path, modality: str) -> int:
    suffixes, kind = part(modality, "files").SUFFIXES, kind_of(_unpacked(path.name))
    return suffixes.index(kind) if kind in suffixes else len(suffixes)


def _primary(path: Path, names: list[str]) -> str:
    """Return the modality that files of this name are made for: the one that ranks them highest."""
    return min(names, key=lambda name: _rank(path, name))


def _sources(path: Path, relative: str, material_id: str, names: list[str]) -> list[Source]:
    """Return what a file holds: one modality, or all that its content speaks for if one may be the structure.

    Raises:
        UserError: if it is unreadable, or neither name nor content say what it holds.
    """
    structure = structure_name()
    if len(names) > 1:
        with refusals_of(path):
            if structure in names:
                primary = _primary(path, names)
                names = [name for name in names if part(name, "files").likeness(path) == 1] or [structure]
            else:
                names = [primary := most_like(path, names)]
    else:
        primary = names[0]
    sources = [Source(material_id, name, relative, _rank(path, name), name != primary) for name in names]
    blocks_of = getattr(part(structure, "files"), "blocks", None)
    if structure not in names or blocks_of is None:
        return sources
    with refusals_of(path):
        blocks = blocks_of(path)
    if len(blocks) > 1:
        rank = _rank(path, structure)
        sources = [source for source in sources if source.modality != structure] + [
            Source(f"{material_id}#{block.replace('/', '_')}", structure, relative, rank, block=block)
            for block in blocks
        ]
    return sources


def _choose(sources: list[Source], contents: Contents) -> None:
    """Keep the first by rank, and list the others but for those that came along in a file of another modality."""
    first, *others = sorted(sources, key=lambda source: (source.comes_along, source.rank, source.path))
    contents.sources.append(first)
    for source in others:
        if not source.comes_along:
            reason = f"{source.path}: not read, as {first.path} holds the same of this material"
            contents.excluded.append((source.material_id, source.modality, reason))


def _leave_out_orphans(contents: Contents) -> None:
    structures = contents.of(structure_name())
    ids = {source.material_id for source in structures}
    several = {source.material_id.partition("#")[0]: source.path for source in structures if source.block is not None}
    endings = [suffix for suffix in part(structure_name(), "files").SUFFIXES if suffix.startswith(".")]
    for source in [source for source in contents.sources if source.material_id not in ids]:
        name = source.material_id
        if name in several:
            reason = f"{source.path}: {several[name]} holds several structures, name the file {name}#NAME"
        else:
            reason = f"{source.path}: no structure file of this name ({name}{', '.join(endings)} ...) is beside it"
        contents.excluded.append((name, source.modality, reason))
    contents.sources = [source for source in contents.sources if source.material_id in ids]
