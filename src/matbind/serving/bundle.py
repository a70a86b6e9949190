"""Makes the directory that a registered model carries, from a trained model and the features it was trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.files import read_json, write_json
from matbind.base.model_files import NOVELTY, SETTINGS, WEIGHTS
from matbind.data.featurize import INDEX, read_split
from matbind.modalities.combinations import Combination
from matbind.modalities.material import SPLITS
from matbind.modalities.store import MANIFEST, Store
from matbind.modalities.table import part, structure_name
from matbind.serving.confidence import Asked, Confidence, ask, calibrate
from matbind.serving.gallery import Gallery, Keys
from matbind.serving.packaged_code import packaged_digest
from matbind.serving.searcher import CHECKPOINT, CONFIDENCE, FORMAT, MODEL
from matbind.training.embeddings import QUERY_SPLITS, Embeddings, read_embeddings, read_queries, require_same_materials

FILTERS = {"validation": 2, "test": 1}
"""How often each query is asked, each time with another element filter."""


def bundle_digest(combination: Combination, *, model_dir: Path, features: Path) -> str:
    """Return a digest of all that a registered model is made of: weights, settings, features, code.

    Nothing is embedded for it.

    Args:
        combination: which modalities.
        model_dir: `models/<combination>/seed-<n>/`.
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
        model_dir: `models/<combination>/seed-<n>/`.
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
    gallery = Gallery(materials, keys)
    gallery.write(out)
    shutil.copyfile(model_dir / NOVELTY, out / NOVELTY)
    splits_of_queries = {split: read_split(features, split) for split in QUERY_SPLITS}
    confidence = calibration(keys, gallery.elements, splits_of_queries, read_queries(model_dir))
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
    keys: Mapping[str, Keys],
    elements: npt.NDArray[np.bool_],
    splits: Mapping[str, npt.NDArray[np.int64]],
    worsened: Mapping[str, Embeddings],
) -> dict[str, Confidence]:
    """Calibrate every subset of the modalities as a query of every gallery.

    Args:
        keys: the galleries by modality.
        elements: of all materials, shape (n_materials, n_elements).
        splits: positions of the materials of validation and test.
        worsened: embeddings of queries as users bring them, by split and modality, a row a material of the split.
    """
    calibrated = {}
    for size in range(1, len(keys) + 1):
        for names in combinations(keys, size):
            for key, gallery in keys.items():
                asked = []
                for split, rows in splits.items():
                    every = [_queries([worsened[split][name] for name in names], rows)]
                    if key not in names:  # or the query would be the very vector that is searched for
                        full = [_in_split(keys[name], rows) for name in names]
                        every.append(_queries(full, rows))
                    asked.append(_ask_all(every * FILTERS[split], gallery, elements))
                calibrated[f"{'+'.join(names)}->{key}"] = calibrate(*asked)
    return calibrated


def _ask_all(
    every: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]], gallery: Keys, elements: npt.NDArray[np.bool_]
) -> Asked:
    answers = []
    for seed, (vectors, rows) in enumerate(every):
        present = np.isin(rows, gallery.rows)
        true = np.searchsorted(gallery.rows, rows[present])
        answers.append(ask(vectors[present], true, gallery.vectors, elements[gallery.rows], seed=seed))
    return Asked(np.concatenate([a.evidence for a in answers]), np.concatenate([a.right for a in answers]))


def _in_split(keys: Keys, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the vectors of some materials, NaN where they have none."""
    vectors = np.full((len(rows), keys.vectors.shape[1]), np.nan, dtype=np.float32)
    present = np.isin(rows, keys.rows)
    vectors[present] = keys.vectors[np.searchsorted(keys.rows, rows[present])]
    return vectors


def _queries(
    parts: list[npt.NDArray[np.float32]], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the normalised means of several modalities where a material holds all of them, and these materials."""
    mean = np.mean(parts, axis=0)
    present = np.isfinite(mean).all(axis=1)
    norm = np.maximum(np.linalg.norm(mean[present], axis=1, keepdims=True), 1e-12)
    return np.asarray(mean[present] / norm, dtype=np.float32), rows[present]


def _copy_settings(model_dir: Path, out: Path) -> None:
    """Copy settings without the paths of the machine they were made on."""
    settings = read_json(model_dir / SETTINGS)
    settings["prepare"]["data"] = Path(str(settings["prepare"]["data"])).name
    for block in settings["modalities"].values():
        if block["features"].get("checkpoint"):
            block["features"]["checkpoint"] = CHECKPOINT
    write_json(out / SETTINGS, settings)
