"""Makes the directory that a registered model carries, from a trained model and the features it was trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.files import read_json, write_json
from matbind.base.model_files import SETTINGS, WEIGHTS
from matbind.data.featurize import INDEX, read_split
from matbind.modalities.combinations import Combination
from matbind.modalities.material import SPLITS
from matbind.modalities.store import MANIFEST, Store
from matbind.modalities.table import part, structure_name
from matbind.serving.confidence import Confidence, ask, calibrate
from matbind.serving.gallery import Gallery, Keys
from matbind.serving.packaged_code import packaged_digest
from matbind.serving.searcher import CHECKPOINT, CONFIDENCE, FORMAT, MODEL
from matbind.training.embeddings import read_embeddings, require_same_materials


def bundle_digest(combination: Combination, *, model_dir: Path, features: Path) -> str:
    """Return a digest of all that a registered model is made of: weights, settings, features, code.

    Nothing is embedded for it.

    Args:
        combination: which modalities.
        model_dir: `models/<combination>/`.
        features: the feature stores.

    Raises:
        UserError: if something is missing.
    """
    stores = {name: read_json(features / name / MANIFEST)["digest"] for name in combination.modalities}
    settings = read_json(model_dir / SETTINGS)
    parts = [FORMAT, combination.name, combination.hub, settings, stores, packaged_digest()]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(weights_digest(model_dir).encode())
    digest.update((features / INDEX).read_bytes())
    return digest.hexdigest()


def weights_digest(model_dir: Path) -> str:
    """Return a digest of the trained weights."""
    return hashlib.sha256((model_dir / WEIGHTS).read_bytes()).hexdigest()


def write_bundle(combination: Combination, *, model_dir: Path, features: Path, out: Path) -> None:
    """Write weights, settings, gallery and calibration to a directory.

    Args:
        combination: which modalities.
        model_dir: `models/<combination>/`.
        features: the feature stores; all their materials make the gallery.
        out: the directory to write, new or empty.

    Raises:
        UserError: if the features or a part of the model are missing, or the model was trained on others.
    """
    metas = {name: Store(features / name).meta for name in combination.modalities}
    require_same_materials(model_dir, features)
    out.mkdir(parents=True, exist_ok=True)
    _copy_settings(model_dir, out)
    shutil.copyfile(model_dir / WEIGHTS, out / WEIGHTS)
    for name, meta in metas.items():
        if meta.get("checkpoint"):
            features_part: Any = part(name, "features")
            features_part.save_checkpoint(meta["checkpoint"], out / CHECKPOINT)
            meta["checkpoint"] = CHECKPOINT
    keys = {}
    for name, vectors in read_embeddings(model_dir).items():
        rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        keys[name] = Keys(rows, vectors[rows])
    materials = pl.read_parquet(features / INDEX, columns=["material_id", "formula", "split"])
    Gallery(materials, keys).write(out)
    confidence = calibration(keys, read_split(features, "validation"), read_split(features, "test"))
    write_json(out / CONFIDENCE, {pair: asdict(calibrated) for pair, calibrated in confidence.items()})
    splits = {name: materials["split"].gather(present.rows) for name, present in keys.items()}
    description = {
        "format": FORMAT,
        "combination": combination.name,
        "hub": combination.hub,
        "default_key": default_key(combination),
        "code_digest": packaged_digest(),
        "counts": {s: {name: int((split == s).sum()) for name, split in splits.items()} for s in SPLITS},
        "metas": metas,
    }
    write_json(out / MODEL, description)


def default_key(combination: Combination) -> str:
    """Return the gallery that is searched if none is named: structures, or the hub where there are none."""
    return structure_name() if structure_name() in combination.modalities else combination.hub


def test_set_digest(features: Path) -> str:
    """Return a digest of the test split of the feature stores: evaluations can be compared only where it is the same.

    Raises:
        UserError: if the stores are missing.
    """
    test = read_split(features, "test")
    ids = pl.read_parquet(features / INDEX, columns=["material_id"])["material_id"].gather(test).sort()
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]


def calibration(
    keys: dict[str, Keys], validation: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> dict[str, Confidence]:
    """Calibrate every subset of the modalities as a query of every gallery, on the positions of both splits."""
    calibrated = {}
    for size in range(1, len(keys) + 1):
        for names in combinations(keys, size):
            queries = [_queries([keys[name] for name in names], rows) for rows in (validation, test)]
            for key, gallery in keys.items():
                asked = [ask(vectors, rows, gallery) for vectors, rows in queries]
                calibrated[f"{'+'.join(names)}->{key}"] = calibrate(*asked)
    return calibrated


def _queries(
    asked_with: list[Keys], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The normalised mean embeddings of the materials that hold all of some modalities, and their positions."""
    for keys in asked_with:
        rows = rows[np.isin(rows, keys.rows)]
    mean = np.mean([keys.vectors[np.searchsorted(keys.rows, rows)] for keys in asked_with], axis=0)
    norm = np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return np.asarray(mean / norm, dtype=np.float32), rows


def _copy_settings(model_dir: Path, out: Path) -> None:
    """Copy settings without the paths of the machine they were made on."""
    settings = read_json(model_dir / SETTINGS)
    settings["prepare"]["data"] = Path(str(settings["prepare"]["data"])).name
    for block in settings["modalities"].values():
        if block["features"].get("checkpoint"):
            block["features"]["checkpoint"] = CHECKPOINT
    write_json(out / SETTINGS, settings)
