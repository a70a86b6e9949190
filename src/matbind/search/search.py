"""Search by files: a measured pattern, a structure, a density of states or a text in, ranked materials out.

What `matbind search` does, for programs too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import FEATURES, read_json
from matbind.base.model_files import CHOSEN, SETTINGS, TRAINED, WEIGHTS, chosen_directory
from matbind.modalities.combinations import parse_combination
from matbind.modalities.material import Material
from matbind.modalities.reading import query_material
from matbind.modalities.recognition import modality_of
from matbind.modalities.table import modality_names, part
from matbind.registry.local import LocalRegistry
from matbind.registry.registry import MODEL_FILES
from matbind.serving.searcher import FIELDS, MODEL, Answer, Options, Searcher
from matbind.settings.params import Settings
from matbind.tracking.store import require_store

DEFAULT_MODEL = "+".join(modality_names())  # all of them


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
class Query:
    """One thing to search with.

    Attributes:
        title: what an answer calls it: the file as it was named, or what was typed.
        path: of the file that holds it.
        reading: how it is read.
    """

    title: str
    path: Path
    reading: Reading


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
    typed: Mapping[str, str] = MappingProxyType({}),
    model: str = DEFAULT_MODEL,
    options: Options | None = None,
    reading: Reading | None = None,
    together: bool = False,
    root: Path = Path(),
) -> list[Answer]:
    """Find the materials nearest to what files hold, or to what was typed.

    Args:
        files: the queries; their kind is told by ending and content, see
            :func:`matbind.modalities.recognition.modality_of`.
        typed: queries that are in no file: what such a file would hold, by modality.
        model: see :func:`load_model`.
        options: length of the list, gallery, element filter.
        reading: how the files are read.
        together: whether the files are one query, such as the pattern and the text of one material.
        root: the project directory.

    Returns:
        A dictionary a query, ready for JSON: ``query`` (the files, or what was typed), ``model``, ``notes`` (what
        was decided while reading), and what `Searcher.answer` gives. A file that cannot be used has an ``error`` and
        stops no other.

    Raises:
        UserError: if there is no such model, or the wavelength is none.
    """
    reading = reading or Reading()
    _check_options(reading)
    loaded = load_model(model, root=root)
    with tempfile.TemporaryDirectory() as directory:
        queries = [Query(str(path), path, reading) for path in files]
        for name, text in typed.items():
            path = Path(directory) / name
            path.write_text(text, encoding="utf-8")
            queries.append(Query(text, path, replace(reading, modality=name)))
        groups = [queries] if together else [[query] for query in queries]
        return [_answer(group, loaded, options or Options()) for group in groups]


def load_model(model: str, *, root: Path = Path()) -> Loaded:
    """Load a model.

    Args:
        model: a registered one, see `Registry.resolve`: ``matbind-crystal-pxrd@champion``, ``crystal+pxrd``; or the
            directory of a trained one, ``models/crystal+pxrd`` or one of its trainings, ``models/crystal+pxrd/seed-1``,
            whose gallery is then embedded first; or the directory
            that ``mlflow artifacts download`` made of a registered one, which needs neither store nor MLflow.
        root: the project directory.

    Raises:
        UserError: if there is no such model, or its files cannot be read.
    """
    model_dir = root / model
    for directory in (model_dir, model_dir / MODEL_FILES):
        if (directory / MODEL).exists():
            return _loaded(directory, model)
    if (model_dir / CHOSEN).exists():
        model_dir = chosen_directory(model_dir.parent, model_dir.name)
    if (model_dir / WEIGHTS).exists() and (model_dir / SETTINGS).exists():
        return Loaded(_of_directory(model_dir, root / FEATURES), model, "")
    require_store(root)
    registry = LocalRegistry(root)
    version = registry.resolve(model)
    return _loaded(registry.fetch(version.model_id, MODEL_FILES), f"{version.name}/{version.number}")


def read_query(path: Path, reading: Reading, settings: Settings) -> tuple[str, Any, str]:
    """Read one file.

    Args:
        path: of the file.
        reading: how.
        settings: of the model; its patterns have one grid.

    Returns:
        The modality, its value, and what was decided while reading.

    Raises:
        UserError: if the file cannot be used.
    """
    if path.is_dir():
        raise UserError(f"{path}: this is a directory, expected a file to search with")
    if not path.is_file():
        raise UserError(f"{path}: the file does not exist, expected a file to search with")
    name = reading.modality or modality_of(path)
    if name not in modality_names():
        raise UserError(f"--as is {name!r}, expected one of {', '.join(modality_names())}")
    try:
        value, note = part(name, "query").read_file(
            path, records=settings.records(name), wavelength=reading.wavelength, n_atoms=reading.n_atoms
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return name, value, note


def _check_options(reading: Reading) -> None:
    """Refuse a wavelength that is none, also where every file names its own."""
    if reading.wavelength is None:
        return
    for name in modality_names():
        check = getattr(part(name, "files"), "check_options", None)
        if check is not None:
            try:
                check(wavelength=reading.wavelength)
            except ValueError as error:
                raise UserError(f"--wavelength: {error}") from error


def _answer(queries: list[Query], loaded: Loaded, options: Options) -> Answer:
    notes = [loaded.note] if loaded.note else []
    materials: dict[str, Material] = {}
    try:
        for query in queries:
            name, value, note = read_query(query.path, query.reading, loaded.searcher.settings)
            if name in materials:
                raise UserError(f"{query.path}: a second {name} in one query, expected each modality once")  # noqa: TRY301
            materials[name] = query_material(name, value)
            notes += [f"{query.path}: {note}"] if note else []
        answer = loaded.searcher.answer_materials(materials, options)
    except (UserError, ValueError) as error:
        paths = [str(query.path) for query in queries]
        says = str(error) if any(path in str(error) for path in paths) else f"{' + '.join(paths)}: {error}"
        answer = dict.fromkeys(FIELDS) | {"error": _titled(says, queries)}
    notes = [_titled(note, queries) for note in notes]
    return {"query": [query.title for query in queries], "model": loaded.name, "notes": notes, **answer}


def _titled(sentence: str, queries: list[Query]) -> str:
    """Call what was typed by that, and not by the file that it was written to."""
    for query in queries:
        sentence = sentence.replace(str(query.path), query.title)
    return sentence


def _loaded(directory: Path, name: str) -> Loaded:
    searcher = Searcher(directory)
    note = "" if searcher.has_own_code else "the model was registered with other code than this; answers may differ"
    return Loaded(searcher, name, note)


def _of_directory(model_dir: Path, features: Path) -> Searcher:
    from matbind.serving.bundle import write_bundle

    name, hub_order = read_json(model_dir / TRAINED)["combination"], read_json(model_dir / SETTINGS)["hub_order"]
    combination = parse_combination(name, hub_order)
    with tempfile.TemporaryDirectory() as directory:
        write_bundle(combination, model_dir=model_dir, features=features, out=Path(directory))
        return Searcher(Path(directory))
