"""Search by files: a measured pattern, a structure, a density of states or a text in, ranked materials out.

What `matbind search` does, for programs too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.errors import UserError
from matbind.files import FEATURES, read_json
from matbind.formats.columns import parse_columns
from matbind.formats.content import bare_name, read_text
from matbind.formats.dos_files import looks_like_dos, read_dos
from matbind.formats.pattern_files import SUFFIXES, read_pattern
from matbind.formats.pattern_grid import on_grid
from matbind.formats.structure_files import SITES, read_structure
from matbind.modality import MODALITIES, parse_combination
from matbind.records import Dos, Material, Pattern
from matbind.registry import Registry
from matbind.serving.queries.reading import material
from matbind.serving.searcher import FIELDS, SETTINGS, WEIGHTS, Answer, Options, Searcher, query_material
from matbind.settings import Settings

DEFAULT_MODEL = "crystal+dos+pxrd+text"


@dataclass(frozen=True, slots=True)
class Reading:
    """How query files are read.

    Attributes:
        modality: what the files hold; None to tell it from each file.
        wavelength: of patterns that name none: angstrom, or a line such as `CuKa`.
        n_atoms: of the cell that the states of a DOS are counted in, where its file does not say.
    """

    modality: str | None = None
    wavelength: str | None = None
    n_atoms: int | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model to search with.

    Attributes:
        searcher: answers.
        name: how to find it again: name and version, or the directory.
        note: what a user should know of it; may be empty.
    """

    searcher: Searcher
    name: str
    note: str


def search(
    files: Sequence[Path],
    *,
    model: str = DEFAULT_MODEL,
    options: Options | None = None,
    reading: Reading | None = None,
    together: bool = False,
    root: Path = Path(),
) -> list[Answer]:
    """Find the materials nearest to what files hold.

    Args:
        files: the queries; their kind is told by ending and content, see :func:`modality_of`.
        model: see :func:`load_model`.
        options: length of the list, gallery, element filter.
        reading: how the files are read.
        together: whether the files are one query, such as the pattern and the text of one material.
        root: the project directory.

    Returns:
        A dictionary a query, ready for JSON: ``query`` (the files), ``model``, ``notes`` (what was decided while
        reading), and what `Searcher.answer` gives. A file that cannot be used has an ``error`` and stops no other.

    Raises:
        UserError: if there is no such model.
    """
    loaded = load_model(model, root=root)
    groups = [list(files)] if together else [[path] for path in files]
    return [_answer(group, loaded, options or Options(), reading or Reading()) for group in groups]


def load_model(model: str, *, root: Path = Path()) -> Loaded:
    """Load a model.

    Args:
        model: a registered one, see `Registry.resolve`: ``matbind-crystal-pxrd@champion``, ``crystal+pxrd``; or the
            directory of a trained one, ``models/crystal+pxrd``, whose gallery is then embedded first.
        root: the project directory.

    Raises:
        UserError: if there is no such model, or its files cannot be read.
    """
    home = root / model
    if (home / WEIGHTS).exists() and (home / SETTINGS).exists():
        return Loaded(_of_directory(home, root / FEATURES), model, "")
    registry = Registry(root)
    version = registry.resolve(model)
    searcher = Searcher(registry.model_files(version))
    note = "" if searcher.has_own_code else "the model was registered with other code than this; answers may differ"
    return Loaded(searcher, f"{version.name}/{version.number}", note)


def modality_of(path: Path) -> str:
    """The modality of a file, by its ending, and by its content where the ending does not tell.

    Raises:
        UserError: if it cannot be told.
    """
    name = bare_name(path)
    suffix = Path(name).suffix
    if suffix == ".cif":
        return "crystal" if SITES.search(read_text(path)) else "pxrd"
    if suffix in {".vasp", ".poscar"} or name.startswith(("poscar", "contcar")):
        return "crystal"
    if suffix == ".json":
        return "pxrd" if "two_theta_deg" in _object(path) else "dos"
    if suffix in {".txt", ".csv", ".dat"}:
        return _of_columns(path)
    if suffix in SUFFIXES:
        return "pxrd"
    raise UserError(
        f"{path}: what it holds cannot be told from its name, expected a structure (.cif, POSCAR), a pattern "
        f"({', '.join(SUFFIXES)}), a DOS (.json, .csv), or a description (.txt); or say it by --as"
    )


def read_query(path: Path, reading: Reading, settings: Settings) -> tuple[str, Material, str]:
    """Read one file.

    Args:
        path: of the file.
        reading: how.
        settings: of the model; its patterns have one grid.

    Returns:
        The modality, the query, and what was decided while reading.

    Raises:
        UserError: if the file cannot be used.
    """
    if not path.is_file():
        raise UserError(f"{path}: the file does not exist, expected a file to search with")
    name = reading.modality or modality_of(path)
    if name not in MODALITIES:
        raise UserError(f"--as is {name!r}, expected one of {', '.join(MODALITIES)}")
    try:
        return name, *_READERS[name](path, reading, settings)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _answer(files: list[Path], loaded: Loaded, options: Options, reading: Reading) -> Answer:
    head: Answer = {"query": [str(path) for path in files], "model": loaded.name}
    notes = [loaded.note] if loaded.note else []
    query: dict[str, Material] = {}
    try:
        for path in files:
            name, own, note = read_query(path, reading, loaded.searcher.settings)
            if name in query:
                raise UserError(f"{path}: a second {name} in one query, expected each modality once")  # noqa: TRY301
            query[name] = own
            notes += [f"{path}: {note}"] if note else []
        return {**head, "notes": notes, **loaded.searcher.answer_materials(query, options)}
    except (UserError, ValueError) as error:
        return {**dict.fromkeys(FIELDS), **head, "notes": notes, "error": str(error)}


def _of_directory(home: Path, features: Path) -> Searcher:
    from matbind.serving.bundle import write_bundle

    combination = parse_combination(home.name, read_json(home / SETTINGS)["hub_order"])
    with tempfile.TemporaryDirectory() as directory:
        write_bundle(combination, home=home, features=features, out=Path(directory))
        return Searcher(Path(directory))


def _of_columns(path: Path) -> str:
    try:
        columns = parse_columns(read_text(path))
    except ValueError as error:
        if Path(bare_name(path)).suffix == ".txt":
            return "text"
        raise UserError(f"{path}: {error}") from error
    return "dos" if looks_like_dos(columns) else "pxrd"


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: this is no JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _crystal(path: Path, reading: Reading, settings: Settings) -> tuple[Material, str]:  # noqa: ARG001
    found = read_structure(path)
    return material(found.structure), "; ".join(found.warnings)


def _dos(path: Path, reading: Reading, settings: Settings) -> tuple[Material, str]:
    if bare_name(path).endswith(".json") and "energies_ev" in _object(path):
        return query_material("dos", read_text(path), settings), ""
    found = read_dos(path)
    n_atoms = found.n_atoms or reading.n_atoms
    if not n_atoms:
        raise ValueError("it does not say how many atoms its cell has, expected n_atoms in the file, or --atoms")
    own = Dos(found.dos.energies_ev, found.dos.densities / n_atoms, found.dos.efermi_ev)
    return material(dos=own), found.note


def _pxrd(path: Path, reading: Reading, settings: Settings) -> tuple[Material, str]:
    if bare_name(path).endswith(".json"):
        content = _object(path)
        content.setdefault("wavelength_angstrom", reading.wavelength)
        return query_material("pxrd", json.dumps(content), settings), ""
    found = read_pattern(path, wavelength=reading.wavelength)
    return material(pxrd=Pattern(on_grid(found, settings.prepare.pxrd), simulated=False)), found.note


def _text(path: Path, reading: Reading, settings: Settings) -> tuple[Material, str]:  # noqa: ARG001
    return material(text=read_text(path)), ""


_READERS = {"crystal": _crystal, "dos": _dos, "pxrd": _pxrd, "text": _text}
