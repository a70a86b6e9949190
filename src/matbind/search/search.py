"""Search by files: a measured pattern, a structure, a density of states or a text in, ranked materials out.

What `matbind search` does, for programs too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import FEATURES, read_json
from matbind.base.model_files import SETTINGS, WEIGHTS
from matbind.modalities.combinations import parse_combination
from matbind.modalities.material import Material
from matbind.modalities.reading import query_material
from matbind.modalities.recognition import modality_of
from matbind.modalities.table import modality_names, part
from matbind.registry.registry import MODEL_FILES, Registry
from matbind.serving.searcher import FIELDS, MODEL, Answer, Options, Searcher
from matbind.settings.params import Settings

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
        files: the queries; their kind is told by ending and content, see
            :func:`matbind.modalities.recognition.modality_of`.
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
            directory of a trained one, ``models/crystal+pxrd``, whose gallery is then embedded first; or the directory
            that ``mlflow artifacts download`` made of a registered one, which needs neither store nor MLflow.
        root: the project directory.

    Raises:
        UserError: if there is no such model, or its files cannot be read.
    """
    model_dir = root / model
    for directory in (model_dir, model_dir / MODEL_FILES):
        if (directory / MODEL).exists():
            return _loaded(directory, model)
    if (model_dir / WEIGHTS).exists() and (model_dir / SETTINGS).exists():
        return Loaded(_of_directory(model_dir, root / FEATURES), model, "")
    registry = Registry(root)
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


def _answer(files: list[Path], loaded: Loaded, options: Options, reading: Reading) -> Answer:
    head: Answer = {"query": [str(path) for path in files], "model": loaded.name}
    notes = [loaded.note] if loaded.note else []
    query: dict[str, Material] = {}
    try:
        for path in files:
            name, value, note = read_query(path, reading, loaded.searcher.settings)
            if name in query:
                raise UserError(f"{path}: a second {name} in one query, expected each modality once")  # noqa: TRY301
            query[name] = query_material(name, value)
            notes += [f"{path}: {note}"] if note else []
        return {**head, "notes": notes, **loaded.searcher.answer_materials(query, options)}
    except (UserError, ValueError) as error:
        return {**dict.fromkeys(FIELDS), **head, "notes": notes, "error": str(error)}


def _loaded(directory: Path, name: str) -> Loaded:
    searcher = Searcher(directory)
    note = "" if searcher.has_own_code else "the model was registered with other code than this; answers may differ"
    return Loaded(searcher, name, note)


def _of_directory(model_dir: Path, features: Path) -> Searcher:
    from matbind.serving.bundle import write_bundle

    combination = parse_combination(model_dir.name, read_json(model_dir / SETTINGS)["hub_order"])
    with tempfile.TemporaryDirectory() as directory:
        write_bundle(combination, model_dir=model_dir, features=features, out=Path(directory))
        return Searcher(Path(directory))
