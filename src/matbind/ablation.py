"""One combination from features to metrics: train it, keep the model, evaluate it on the test split.

Everything a combination leaves behind is in `models/<combination>/` and `metrics/<combination>.json`. A fingerprint of the
settings, the features and the code says whether what is there is still what would come out, so a run that died is taken up again
and a finished combination is not trained twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.evaluation import retrieval
from matbind.features.store import MANIFEST
from matbind.featurize import read_split
from matbind.model import Model, counts_of
from matbind.modality import Combination
from matbind.settings import Settings

WEIGHTS, SETTINGS, HISTORY, EMBEDDINGS, DONE = (
    "model.safetensors",
    "settings.json",
    "history.json",
    "test_embeddings.npz",
    "done.json",
)
_CODE = ("ablation.py", "distributed.py", "loss.py", "model.py", "training.py", "modality.py", "views", "encoders", "features")
_NOT_TRAINED_ON = {"ablate", "prepare"}


def train_and_evaluate(
    settings: Settings,
    combination: Combination,
    *,
    features: Path,
    models: Path,
    metrics: Path,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train one combination and evaluate it on the test split, or return what is there if it is still valid.

    Args:
        settings: all settings.
        combination: which modalities.
        features: the feature stores.
        models: `models/<combination>/` is written here.
        metrics: `metrics/<combination>.json` is written here.
        on_epoch: is given each epoch's figures.
        report: is told the progress in sentences.

    Returns:
        The metrics, as in the file.
    """
    from safetensors.torch import save_file

    from matbind.training import CHECKPOINT, Trainer

    home, result = models / combination.name, metrics / f"{combination.name}.json"
    if is_done(settings, combination, features=features, models=models, metrics=metrics):
        report(f"{combination.name}: already trained")
        done: dict[str, Any] = json.loads(result.read_text())
        return done
    mark = fingerprint(settings, combination, features)
    _claim(home, mark)
    trainer = Trainer(settings, combination, features=features)
    model = trainer.fit(home, on_epoch=on_epoch, report=report)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, home / WEIGHTS)
    _write_json(home / SETTINGS, settings.model_dump(mode="json"))
    _write_json(home / HISTORY, trainer.progress.history)
    metrics.mkdir(parents=True, exist_ok=True)
    found = {
        "combination": combination.name,
        "hub": combination.hub,
        "run_id": None,
        **_evaluate(settings, combination, trainer, model, features, home),
        "best_epoch": trainer.progress.best_epoch,
        "epochs": trainer.progress.epoch,
        "validation_recall_at_1": trainer.progress.best_recall,
        "seconds": trainer.progress.seconds,
        "n_parameters": counts_of(model),
    }
    _write_json(result, found)
    _write_json(home / DONE, {"fingerprint": mark})
    (home / CHECKPOINT).unlink(missing_ok=True)
    return found


def is_done(settings: Settings, combination: Combination, *, features: Path, models: Path, metrics: Path) -> bool:
    """Whether a combination's model and metrics are there and belong to these settings, features and code."""
    done = models / combination.name / DONE
    if not done.exists() or not (metrics / f"{combination.name}.json").exists():
        return False
    return bool(json.loads(done.read_text())["fingerprint"] == fingerprint(settings, combination, features))


def fingerprint(settings: Settings, combination: Combination, features: Path) -> str:
    """Digest of all that the result of a combination depends on: its settings, its features, the code."""
    told = settings.model_dump(mode="json", exclude=_NOT_TRAINED_ON)
    used = {*combination.modalities, "crystal"}  # every combination takes its strain from the crystal's symmetry
    told["modalities"] = {name: block for name, block in told["modalities"].items() if name in used}
    stores = {name: json.loads((features / name / MANIFEST).read_text())["digest"] for name in sorted(used)}
    digest = hashlib.sha256(json.dumps([combination.name, told, stores], sort_keys=True).encode())
    digest.update((features / "index.parquet").read_bytes())
    for path in _code():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _code() -> Iterator[Path]:
    package = Path(__file__).parent
    for name in _CODE:
        path = package / name
        yield from sorted(path.glob("*.py")) if path.is_dir() else [path]


def _claim(home: Path, mark: str) -> None:
    """Make the directory ours: what other settings left there, a checkpoint above all, is removed."""
    claim = home / "started.json"
    if not claim.exists() or json.loads(claim.read_text()) != {"fingerprint": mark}:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _write_json(claim, {"fingerprint": mark})


def _evaluate(
    settings: Settings, combination: Combination, trainer: Any, model: Model, features: Path, home: Path
) -> dict[str, Any]:
    index = read_split(features, "test")
    own = {"seed": settings.seed, "chunk_size": settings.evaluation.chunk_size}
    present = {name: trainer.stores[name].present[index] for name in combination.modalities}
    embeddings: dict[str, Any] = {}
    for name in combination.modalities:
        rows = np.flatnonzero(present[name])
        found = trainer.embed_split(model, name, index[rows])
        embeddings[name] = np.full((len(index), found.shape[1]), np.nan, dtype=np.float32)
        embeddings[name][rows] = found
    ids = pl.read_parquet(features / "index.parquet")["material_id"].to_numpy()[index]
    with _whole(home / EMBEDDINGS) as path, path.open("wb") as file:
        np.savez(file, material_id=ids.astype(str), **embeddings)
    if combination.is_single:
        rows = index[present[combination.hub]]
        views = [trainer.embed_split(model, combination.hub, rows, view_seed=i) for i in range(2)]
        pair = f"{combination.hub}->{combination.hub}"
        control = retrieval.evaluate_views(views[0], np.random.default_rng(settings.seed).permutation(views[1]), **own)
        return {
            "pairs": {pair: retrieval.evaluate_views(views[0], views[1], **own).as_dict()},
            "fused": {},
            "control": {pair: control.as_dict()},
            "unmeasured": {},
        }
    return {
        "pairs": _plain(retrieval.evaluate_pairs(embeddings, present, combination, **own)),
        "fused": _plain(retrieval.fused_queries(embeddings, present, combination, **own)),
        "control": _plain(retrieval.shuffled_control(embeddings, present, combination, **own)),
        "unmeasured": retrieval.unmeasured(present, combination),
    }


def _plain(results: dict[str, retrieval.RetrievalResult]) -> dict[str, dict[str, Any]]:
    return {name: result.as_dict() for name, result in results.items()}


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Write beside, then rename: a file that is there is whole."""
    partial = path.with_name(path.name + ".partial")
    yield partial
    os.replace(partial, path)


def _write_json(path: Path, content: Any) -> None:
    with _whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1))
