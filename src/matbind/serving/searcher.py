"""Answers queries: any modality of a combination in, its embedding and the nearest materials out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from matbind.base.errors import UserError
from matbind.base.files import read_json
from matbind.base.model_files import NOVELTY, SETTINGS, WEIGHTS
from matbind.modalities.combinations import Combination
from matbind.modalities.material import Material
from matbind.modalities.reading import query_material
from matbind.modalities.table import modality_names, part
from matbind.serving.confidence import evidence_of, is_match, read_confidence
from matbind.serving.gallery import Gallery
from matbind.serving.packaged_code import packaged_digest
from matbind.settings.model import ModalitySettings, ModelSettings
from matbind.settings.params import Settings
from matbind.training.embedder import Embedder
from matbind.training.novelty import KNOWN, read_novelty

MODEL, CONFIDENCE, CHECKPOINT = "model.json", "confidence.json", "checkpoint"
FORMAT = 3
MOST_NEAREST = 1000
Wanted = Literal["nearest", "embedding", "both"]
WANTED: tuple[Wanted, ...] = ("nearest", "embedding", "both")
FIELDS = ("nearest", "embedding", "probability", "confident", "message", "error")

Answer = dict[str, Any]


def columns() -> dict[str, str]:
    """Return what a query may hold, such as ``cif``, with what is expected there."""
    return {column: text for name in modality_names() for column, text in part(name, "query").COLUMNS.items()}


def example_of(name: str) -> dict[str, str]:
    """Return a small query of one modality, by column."""
    return dict(part(name, "query").EXAMPLE)


@dataclass(frozen=True, slots=True)
class Options:
    """How a query is answered."""

    k: int = 10  # length of the list
    key: str = ""  # modality whose gallery is searched; empty for the model's own default
    wanted: Wanted = "nearest"  # the nearest materials, the embedding, or both
    contains: tuple[str, ...] = ()  # elements that have to be in an answer
    only: tuple[str, ...] = ()  # elements of which an answer may hold no other
    without: tuple[str, ...] = ()  # elements that must not be in an answer

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_NEAREST:
            raise ValueError(f"k is {self.k}, expected 1 to {MOST_NEAREST}")
        if self.wanted not in WANTED:
            raise ValueError(f"return is {self.wanted!r}, expected one of {', '.join(WANTED)}")


class Searcher:
    """A trained combination with its gallery, read from the directory that a registered model holds."""

    def __init__(self, directory: Path) -> None:
        """Load the model.

        Raises:
            UserError: if the directory holds no model of this format.
        """
        from safetensors.torch import load_file

        description = read_json(directory / MODEL)
        if description.get("format") != FORMAT:
            raise UserError(
                f"{directory / MODEL}: the format is {description.get('format')!r}, expected {FORMAT}; "
                "register it anew: dvc repro"
            )
        self.combination = Combination(tuple(description["combination"].split("+")), description["hub"])
        self.default_key: str = description["default_key"]
        self.settings = read_settings(directory, self.combination.modalities)
        metas = {name: _with_checkpoint(meta, directory) for name, meta in description["metas"].items()}
        self.embedder = Embedder(self.settings, self.combination, metas, load_file(directory / WEIGHTS))
        self.gallery = Gallery.read(directory)
        self.confidence = read_confidence(directory / CONFIDENCE)
        self.novelty = read_novelty(directory / NOVELTY)
        self.has_own_code = description["code_digest"] == packaged_digest()

    def answer(self, record: Mapping[str, Any], options: Options | None = None) -> Answer:
        """Answer one query; whatever is wrong with it is said in the answer, not raised.

        Args:
            record: text by column, see :func:`columns`; what is None, NaN or blank counts as not given. Several
                modalities make one query, the normalised mean of their embeddings.
            options: how to answer.

        Returns:
            ``nearest``: rows of rank, material_id, formula, split and similarity; ``embedding``: a list of numbers;
            ``probability`` that the first is right, None for a query unlike anything known; whether that is
            ``confident``; a ``message`` about it; or ``error``, one sentence. What was not asked for is None.
        """
        try:
            return self.answer_materials(self._read(record), options)
        except (UserError, ValueError) as error:
            return dict.fromkeys(FIELDS) | {"error": str(error)}

    def answer_materials(self, query: Mapping[str, Material], options: Options | None = None) -> Answer:
        """Answer one query that has been read already.

        Args:
            query: by modality, a material of which that modality is looked at.
            options: how to answer.

        Returns:
            As :meth:`answer`.

        Raises:
            ValueError: if there is nothing to embed, something cannot be embedded, or no material passes the filter.
        """
        options = options or Options()
        embedding, unlike = self._encode(query)
        answer: Answer = dict.fromkeys(FIELDS)
        if options.wanted != "nearest":
            answer["embedding"] = [float(value) for value in embedding]
        if options.wanted != "embedding":
            answer |= self._nearest([name for name in modality_names() if name in query], embedding, options)
        if unlike and options.wanted != "embedding":
            answer |= {"probability": None, "confident": False, "message": f"no confident match: {unlike}"}
        return answer

    def embed(self, query: Mapping[str, Material]) -> npt.NDArray[np.float32]:
        """Return the unit vector of a query, shape (projection_dim,): of several modalities the normalised mean.

        Raises:
            ValueError: if there is nothing to embed, or something that cannot be.
        """
        return self._encode(query)[0]

    def _encode(self, query: Mapping[str, Material]) -> tuple[npt.NDArray[np.float32], str]:
        """Embed a query, and say which of its modalities is unlike anything the model was trained on; empty if none."""
        parts, unlike = [], []
        for name, material in query.items():
            self._require(name)
            try:
                outputs, vectors = self.embedder.encode_materials(name, [material])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            parts.append(vectors[0])
            distance, limit = float(self.novelty[name].distance(outputs)[0]), self.novelty[name].limit
            if not distance <= limit:
                unlike.append(
                    f"this {name} is unlike anything the model was trained on (distance {distance:.2g}; "
                    f"{100 * KNOWN:.0f} of 100 known ones are below {limit:.2g})"
                )
        mean = np.mean(parts, axis=0)
        length = float(np.linalg.norm(mean))
        if not (math.isfinite(length) and length > 0):
            raise ValueError(f"{', '.join(query)}: the embedding is not finite or has no direction")
        return np.asarray(mean / length, dtype=np.float32), "; ".join(unlike)

    def _require(self, name: str) -> None:
        if name not in self.combination.modalities:
            known = ", ".join(self.combination.modalities)
            raise ValueError(f"{name}: this model knows {known} and cannot embed a {name}")

    def _read(self, record: Mapping[str, Any]) -> dict[str, Material]:
        query = {}
        for name, (column, text) in self._given(record).items():
            self._require(name)
            try:
                value = part(name, "query").read(column, text, records=self.settings.records(name))
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from error
            query[name] = query_material(name, value)
        return query

    def _given(self, record: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Return the filled columns by modality, in the modalities' order."""
        filled: dict[str, tuple[str, str]] = {}
        for name in modality_names():
            for column in part(name, "query").COLUMNS:
                value = record.get(column)
                if value is None or value != value or (isinstance(value, str) and not value.strip()):  # noqa: PLR0124  NaN
                    continue
                if not isinstance(value, str):
                    raise ValueError(f"{column} is of type {type(value).__name__}, expected text")  # noqa: TRY004
                if name in filled:
                    raise ValueError(f"{filled[name][0]} and {column} both give a {name}, expected one of them")
                filled[name] = (column, value)
        if not filled:
            known = [c for name in self.combination.modalities for c in part(name, "query").COLUMNS]
            raise ValueError(f"the query is empty, expected at least one of {', '.join(known)}")
        return filled

    def _nearest(self, names: Sequence[str], query: npt.NDArray[np.float32], options: Options) -> Answer:
        key = options.key or self.default_key
        if key not in self.gallery.keys:
            raise ValueError(f"key is {key!r}, expected one of {', '.join(self.gallery.keys)}")
        keys, elements = self.gallery.keys[key], (options.contains, options.only, options.without)
        allowed = self.gallery.allowed(*elements)[keys.rows] if any(elements) else np.ones(len(keys.rows), dtype=bool)
        if not allowed.any():
            raise ValueError("no material of the gallery passes the element filter")
        similarity = np.where(allowed, keys.vectors @ query, -np.inf)
        order = np.argsort(-similarity, kind="stable")[: min(options.k, int(allowed.sum()))]
        confidence = self.confidence[f"{'+'.join(names)}->{key}"]
        probability = float(confidence.probability(evidence_of(similarity[None]))[0])
        confident = is_match(probability)
        nearest = [
            {"rank": rank, **self.gallery.describe(int(keys.rows[i])), "similarity": float(similarity[i])}
            for rank, i in enumerate(order, start=1)
        ]
        likely = f"in about {100 * probability:.0f} of 100 such queries the first answer is right"
        return {
            "nearest": nearest,
            "probability": probability,
            "confident": confident,
            "message": likely if confident else f"no confident match: only {likely}",
        }


def read_settings(directory: Path, names: Iterable[str]) -> Settings:
    """Read the part of its settings that a trained model needs from its directory.

    The rest is left out: sections of other stages may have changed since, and nothing here depends on them.

    Args:
        directory: holds settings.json, and the checkpoint of a language model if there is one.
        names: the modalities.

    Raises:
        UserError: if they are those of another version of the code.
    """
    raw, blocks, records = read_json(directory / SETTINGS), {}, {}
    try:
        for name in names:
            block = raw["modalities"][name]
            block["features"] = _with_checkpoint(block["features"], directory)
            blocks[name] = ModalitySettings(
                features=part(name, "features").Settings.model_validate(block["features"]),
                transform=part(name, "transform").Settings.model_validate(block["transform"]),
                encoder=part(name, "encoder").Settings.model_validate(block["encoder"]),
            )
            model = getattr(part(name, "records"), "Settings", None)
            records[name] = None if model is None else model.model_validate(raw["prepare"][name])
        model_settings = ModelSettings.model_validate(raw["model"])
    except (ValidationError, KeyError) as error:
        if isinstance(error, KeyError):
            wrong = f"{error.args[0]} is missing"
        else:
            first = error.errors()[0]
            wrong = f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
        raise UserError(
            f"{directory / SETTINGS}: {wrong}; expected the settings of a model that this version of matbind has "
            "trained, train it anew: dvc repro"
        ) from error
    prepare = SimpleNamespace(records=records.get)
    used: dict[str, Any] = {"modalities": blocks, "model": model_settings, "prepare": prepare}
    return Settings.model_construct(**used)


def _with_checkpoint(block: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Take the checkpoint of a language model from the directory of the model if it is there."""
    checkpoint = directory / CHECKPOINT
    return {**block, "checkpoint": str(checkpoint)} if block.get("checkpoint") and checkpoint.exists() else dict(block)
