"""Makes the directory that a registered model carries, from a trained model and the features it was trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.files import read_json, write_json
from matbind.base.model_files import SETTINGS, WEIGHTS
from matbind.data.featurize import INDEX, read_split
from matbind.modalities.combinations import Combination
from matbind.modalities.material import SPLITS
from matbind.modalities.store import MANIFEST, Store
from matbind.serving.confidence import Confidence, ask, calibrate
from matbind.serving.gallery import Gallery, Keys
from matbind.serving.packaged_code import packaged_digest
from matbind.serving.searcher import CHECKPOINT, CONFIDENCE, FORMAT, MODEL
from matbind.training.embeddings import read_embeddings, require_same_materials

Vectors = npt.NDArray[np.float32]


def bundle_digest(combination: Combination, *, home: Path, features: Path) -> str:
    """Digest of all that a registered model is made of: weights, settings, features, code. Nothing is embedded for it.

    Args:
        combination: which modalities.
        home: `models/<combination>/`.
        features: the feature stores.

    Raises:
        UserError: if something is missing.
    """
    stores = {name: read_json(features / name / MANIFEST)["digest"] for name in combination.modalities}
    told = [FORMAT, combination.name, combination.hub, read_json(home / SETTINGS), stores, packaged_digest()]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(weights_digest(home).encode())
    digest.update((features / INDEX).read_bytes())
    return digest.hexdigest()


def weights_digest(home: Path) -> str:
    """Digest of the trained weights."""
    return hashlib.sha256((home / WEIGHTS).read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is said of a model and its gallery.

    Attributes:
        confidence: the calibration by pair, such as ``pxrd+text->crystal``.
        counts: materials of each split that hold each modality, such as ``counts["test"]["dos"]``.
    """

    confidence: dict[str, Confidence]
    counts: dict[str, dict[str, int]]

    @classmethod
    def read(cls, model: Path, confidence: Path) -> Self:
        """Read it from the two small files of a directory that tell it."""
        found = {pair: Confidence.from_dict(content) for pair, content in read_json(confidence).items()}
        return cls(found, read_json(model)["counts"])


def write_bundle(combination: Combination, *, home: Path, features: Path, out: Path) -> None:
    """Write weights, settings, gallery and calibration to a directory.

    Args:
        combination: which modalities.
        home: `models/<combination>/`.
        features: the feature stores; all their materials make the gallery.
        out: the directory to write, new or empty.

    Raises:
        UserError: if the features or a part of the model are missing, or the model was trained on others.
    """
    metas = {name: Store(features / name).meta for name in combination.modalities}
    require_same_materials(home, features)
    out.mkdir(parents=True, exist_ok=True)
    _carry_settings(home, out)
    _carry_checkpoint(metas, out)
    shutil.copyfile(home / WEIGHTS, out / WEIGHTS)
    keys = {}
    for name, vectors in read_embeddings(home).items():
        rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        keys[name] = Keys(rows, vectors[rows])
    materials = pl.read_parquet(features / INDEX, columns=["material_id", "formula", "split"])
    Gallery(materials, keys).write(out)
    confidence = calibration(keys, read_split(features, "validation"), read_split(features, "test"))
    write_json(out / CONFIDENCE, {pair: found.as_dict() for pair, found in confidence.items()})
    told = {
        "format": FORMAT,
        "combination": combination.name,
        "hub": combination.hub,
        "default_key": default_key(combination),
        "code_digest": packaged_digest(),
        "counts": {side: _counts(keys, materials, side) for side in SPLITS},
        "metas": {
            name: meta | ({"checkpoint": CHECKPOINT} if meta.get("checkpoint") else {}) for name, meta in metas.items()
        },
    }
    write_json(out / MODEL, told)


def default_key(combination: Combination) -> str:
    """The gallery that is searched if none is named: crystals, or the hub where there are none."""
    return "crystal" if "crystal" in combination.modalities else combination.hub


def _counts(keys: dict[str, Keys], materials: pl.DataFrame, side: str) -> dict[str, int]:
    own = (materials["split"] == side).to_numpy()
    return {name: int(np.count_nonzero(own[each.rows])) for name, each in keys.items()}


def test_set_digest(features: Path) -> str:
    """Digest of the test split of a data set: two evaluations can be compared only where it is the same.

    Args:
        features: the feature stores.

    Raises:
        UserError: if they are missing.
    """
    test = read_split(features, "test")
    ids = pl.read_parquet(features / INDEX, columns=["material_id"])["material_id"].gather(test).sort()
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]


def calibration(
    keys: dict[str, Keys], validation: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> dict[str, Confidence]:
    """Calibrate every subset of the modalities as a query of every modality's gallery.

    Args:
        keys: the galleries.
        validation: positions of the validation split's materials.
        test: positions of the test split's materials.
    """
    found = {}
    for size in range(1, len(keys) + 1):
        for names in combinations(keys, size):
            held = [_held(keys, names, rows) for rows in (validation, test)]
            queries = [(_fused(keys, names, rows), rows) for rows in held]
            for key, gallery in keys.items():
                asked = [ask(vectors, rows, gallery) for vectors, rows in queries]
                found[f"{'+'.join(names)}->{key}"] = calibrate(asked[0], asked[1])
    return found


def _held(keys: dict[str, Keys], names: tuple[str, ...], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    for name in names:
        rows = rows[np.isin(rows, keys[name].rows)]
    return rows


def _fused(keys: dict[str, Keys], names: tuple[str, ...], rows: npt.NDArray[np.int64]) -> Vectors:
    parts = [keys[name].vectors[np.searchsorted(keys[name].rows, rows)] for name in names]
    mean = np.mean(parts, axis=0)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _carry_settings(home: Path, out: Path) -> None:
    """Settings without the paths of the machine they were made on."""
    settings = read_json(home / SETTINGS)
    settings["prepare"]["data"] = Path(str(settings["prepare"]["data"])).name
    text: dict[str, Any] = settings["modalities"].get("text", {}).get("features", {})
    if text.get("checkpoint"):
        text["checkpoint"] = CHECKPOINT
    write_json(out / SETTINGS, settings)


def _carry_checkpoint(metas: dict[str, dict[str, Any]], out: Path) -> None:
    """The language model that a text encoder starts from: tokenizer, configuration and weights, without pickle."""
    checkpoint = metas.get("text", {}).get("checkpoint")
    if checkpoint is None:
        return
    from transformers import AutoModel, AutoTokenizer

    AutoTokenizer.from_pretrained(checkpoint, local_files_only=True).save_pretrained(out / CHECKPOINT)
    AutoModel.from_pretrained(checkpoint, local_files_only=True).save_pretrained(out / CHECKPOINT)
