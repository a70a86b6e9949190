"""The embeddings a trained combination leaves behind: all that evaluation, search and analysis start from.

Every material is embedded once, in single precision on every machine. The test split is kept as it came, for the
evaluation; all materials in half precision, for galleries, probes and maps.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import written_whole
from matbind.base.model_files import ALL_EMBEDDINGS, NOVELTY, QUERIES, TEST_EMBEDDINGS
from matbind.data.featurize import INDEX, read_split
from matbind.training.novelty import fit_novelty, write_novelty

if TYPE_CHECKING:  # register, which reads embeddings, does not depend on how they came about
    from matbind.training.model import Model
    from matbind.training.trainer import Trainer

VIEWS = 2
QUERY_SPLITS = ("validation", "test")
FIRST_QUERY_SEED = 100  # of views that neither training nor the evaluation of singles has drawn
MOST_DESCRIBED = 2000  # training materials; enough for the moments of an encoder's outputs
_ID = "material_id"

Embeddings = dict[str, npt.NDArray[np.float32]]


def write_embeddings(model_dir: Path, *, trainer: Trainer, model: Model, features: Path) -> None:
    """Embed every material that holds a modality of the combination, and the views by which a single is evaluated.

    Args:
        model_dir: `models/<combination>/seed-<n>/`.
        trainer: of the combination; holds stores and transforms.
        model: the trained one.
        features: the feature stores.
    """
    ids, test, combination = _ids(features), read_split(features, "test"), trainer.combination
    whole, arrays = {}, {}
    for name in combination.modalities:
        present = trainer.stores[name].present
        rows = np.flatnonzero(present)
        full = np.full((len(ids), trainer.settings.model.projection_dim), np.nan, dtype=np.float32)
        full[rows] = trainer.embed_split(model, name, rows, exact=True)
        whole[name], arrays[name] = full.astype(np.float16), full[test]
        for seed in range(VIEWS if combination.is_single else 0):
            view = np.full_like(arrays[name], np.nan)
            view[present[test]] = trainer.embed_split(model, name, test[present[test]], view_seed=seed, exact=True)
            arrays[f"{name}.view{seed}"] = view
    _write(model_dir / ALL_EMBEDDINGS, {_ID: ids, **whole})
    _write(model_dir / TEST_EMBEDDINGS, {_ID: ids[test], **arrays})
    _write_queries(model_dir, trainer=trainer, model=model, features=features)


def _write_queries(model_dir: Path, *, trainer: Trainer, model: Model, features: Path) -> None:
    """Embed what queries are like, drawn by the training's augmentation; and describe what the encoders know by it."""
    splits = {split: read_split(features, split) for split in ("train", *QUERY_SPLITS)}
    every = len(splits["train"]) // MOST_DESCRIBED + 1
    splits["train"] = splits["train"][::every]
    arrays, novelties = {}, {}
    for name in trainer.combination.modalities:
        present = {split: trainer.stores[name].present[rows] for split, rows in splits.items()}
        outputs = {}
        for number, (split, rows) in enumerate(splits.items()):
            seed = FIRST_QUERY_SEED + number
            outputs[split], embedded = trainer.encode_split(
                model, name, rows[present[split]], view_seed=seed, exact=True
            )
            arrays[f"{name}.{split}"] = full = np.full((len(rows), embedded.shape[1]), np.nan, dtype=np.float32)
            full[present[split]] = embedded
        del arrays[f"{name}.train"]
        novelties[name] = fit_novelty(outputs["train"], outputs["validation"])
    _write(model_dir / QUERIES, arrays)
    write_novelty(model_dir / NOVELTY, novelties)


def read_queries(model_dir: Path) -> dict[str, Embeddings]:
    """Read the embeddings of worsened queries.

    Returns:
        By split, ``validation`` and ``test``, and modality: shape (n_split, projection_dim), NaN where a material
        lacks it.
    """
    arrays = _read(model_dir / QUERIES)
    names = [key.removesuffix(f".{QUERY_SPLITS[0]}") for key in arrays if key.endswith(f".{QUERY_SPLITS[0]}")]
    return {split: {name: arrays[f"{name}.{split}"] for name in names} for split in QUERY_SPLITS}


def read_test_embeddings(model_dir: Path) -> Embeddings:
    """Read the test embeddings of a trained combination.

    Returns:
        By modality, shape (n_test, projection_dim), NaN where a material lacks it; a single has besides them
        two augmented views of itself, `<modality>.view0` and `.view1`.
    """
    return _read(model_dir / TEST_EMBEDDINGS)


def read_embeddings(model_dir: Path) -> Embeddings:
    """Read the embeddings of all materials, in the order of the feature stores.

    Returns:
        By modality, shape (n_materials, projection_dim), of half precision, NaN where a material lacks it.
    """
    return _read(model_dir / ALL_EMBEDDINGS)


def require_same_materials(model_dir: Path, features: Path) -> None:
    """Check that the embeddings of a trained combination, its evaluation among them, are of these features' materials.

    Raises:
        UserError: if the features were made anew since, of other materials or with another split.
    """
    ids = _ids(features)
    for name, expected in ((ALL_EMBEDDINGS, ids), (TEST_EMBEDDINGS, ids[read_split(features, "test")])):
        with np.load(model_dir / name, allow_pickle=False) as arrays:
            if not np.array_equal(arrays[_ID], expected):
                raise UserError(
                    f"{model_dir / name}: found {len(arrays[_ID])} materials that are not the {len(expected)} of "
                    f"{features}, expected a model that was trained on them; run the ablate stage again"
                )


def _ids(features: Path) -> npt.NDArray[np.str_]:
    return pl.read_parquet(features / INDEX, columns=[_ID])[_ID].to_numpy().astype(str)


def _write(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    with written_whole(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path) -> Embeddings:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files if name != _ID}
