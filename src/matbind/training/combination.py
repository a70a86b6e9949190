"""One combination from features to metrics: train it, keep the model, evaluate it on the test split.

Everything a combination leaves behind is in `models/<combination>/` and in its metrics file. A fingerprint of the
settings, the features and the code says whether what is there is still what would come out, so a run that died is taken
up again and a finished combination is not trained twice; where only the evaluation changed, the stored test embeddings
are evaluated anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from matbind.base.files import FEATURES, METRICS, MODELS, read_json, write_json, written_whole
from matbind.base.model_files import (
    ALL_EMBEDDINGS,
    CHECKPOINT,
    DONE,
    HISTORY,
    NOVELTY,
    QUERIES,
    SETTINGS,
    STARTED,
    TEST_EMBEDDINGS,
    TRAINED,
    WEIGHTS,
)
from matbind.base.provenance import PROVENANCE, training_record
from matbind.data.featurize import read_split
from matbind.evaluation import retrieval
from matbind.modalities.code import code_digest
from matbind.modalities.combinations import Combination, pair_name
from matbind.modalities.store import MANIFEST
from matbind.modalities.table import structure_name
from matbind.settings.params import Settings
from matbind.training import distributed
from matbind.training.embeddings import VIEWS, Embeddings, read_test_embeddings, write_embeddings
from matbind.training.model import Model, counts_of
from matbind.training.trainer import Trainer

_TRAINER = "training.combination"
_NOT_TRAINED_ON = {"analysis", "tune", "ablate", "complete", "prepare", "evaluation", "parallel", "validation"}


def train_and_evaluate(
    settings: Settings,
    combination: Combination,
    *,
    features: Path = FEATURES,
    models: Path = MODELS,
    metrics: Path = METRICS,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train one combination and evaluate it on the test split, or return what is there if it is still valid.

    With several ranks (`torchrun`) all train together; rank 0 alone writes and evaluates, the others return nothing.

    Args:
        settings: all settings.
        combination: which modalities.
        features: the feature stores.
        models: `models/<combination>/` is written here.
        metrics: `metrics/<combination>.json` is written here.
        on_epoch: is given each epoch's figures.
        log: is given sentences on the progress.

    Returns:
        The metrics, as in the file.

    Raises:
        UserError: if the features are missing or cut short, or too few materials hold the combination.
    """
    model_dir, metrics_path = models / combination.name, metrics / f"{combination.name}.json"
    done = is_done(settings, combination, features=features, models=models, metrics=metrics)
    wanted = fingerprint(settings, combination, features)
    trained = _is_trained(model_dir, wanted)
    distributed.wait_for_all()  # before rank 0 changes what the others have just looked at
    if done:
        log(f"{combination.name}: already trained")
        return dict(read_json(metrics_path))
    if trained:
        log(f"{combination.name}: already trained, evaluated anew")
    else:
        if distributed.rank() == 0:
            _start_over_unless_of(wanted, model_dir)
        distributed.wait_for_all()
        trainer = Trainer(settings, combination, features=features)
        model = trainer.fit(model_dir, on_epoch=on_epoch, log=log)
        if distributed.rank() == 0:
            _keep(trainer, model, model_dir, features)
    if distributed.rank():
        return {}
    content = {
        "combination": combination.name,
        "hub": combination.hub,
        "run_id": None,
        **evaluate(settings, combination, read_test_embeddings(model_dir)),
        **read_json(model_dir / TRAINED),
    }
    write_json(metrics_path, content)
    write_json(model_dir / DONE, _done(settings, wanted))
    return content


def is_done(
    settings: Settings,
    combination: Combination,
    *,
    features: Path = FEATURES,
    models: Path = MODELS,
    metrics: Path = METRICS,
) -> bool:
    """Return whether a combination's model and metrics are there and belong to these settings, features and code."""
    model_dir = models / combination.name
    if not (model_dir / DONE).exists() or not (metrics / f"{combination.name}.json").exists():
        return False
    wanted = fingerprint(settings, combination, features)
    return _is_trained(model_dir, wanted) and bool(read_json(model_dir / DONE) == _done(settings, wanted))


def fingerprint(settings: Settings, combination: Combination, features: Path) -> str:
    """Compute a digest of all that a trained model depends on: its settings, its features, the code.

    Raises:
        UserError: if the features are missing.
    """
    content = settings.model_dump(mode="json", exclude=_NOT_TRAINED_ON)
    used = {*combination.modalities, structure_name()}  # every combination takes its strain from the structure
    content["modalities"] = {name: block for name, block in content["modalities"].items() if name in used}
    stores = {name: read_json(features / name / MANIFEST)["digest"] for name in sorted(used)}
    digest = hashlib.sha256(json.dumps([combination.name, content, stores], sort_keys=True).encode())
    read_split(features, "test")
    digest.update((features / "index.parquet").read_bytes())
    digest.update(code_digest(_TRAINER).encode())
    return digest.hexdigest()


def _done(settings: Settings, wanted: str) -> dict[str, Any]:
    return {"fingerprint": wanted, "evaluation": settings.evaluation.model_dump(mode="json")}


def _is_trained(model_dir: Path, wanted: str) -> bool:
    files = (WEIGHTS, SETTINGS, HISTORY, TRAINED, TEST_EMBEDDINGS, ALL_EMBEDDINGS, QUERIES, NOVELTY)
    whole = all((model_dir / name).exists() for name in files)
    return whole and bool(read_json(model_dir / TRAINED)["fingerprint"] == wanted)


def _start_over_unless_of(wanted: str, model_dir: Path) -> None:
    """Remove what a run with another fingerprint left in the directory, a checkpoint above all."""
    started = model_dir / STARTED
    if not started.exists() or read_json(started) != {"fingerprint": wanted}:
        shutil.rmtree(model_dir, ignore_errors=True)
        model_dir.mkdir(parents=True)
        write_json(started, {"fingerprint": wanted})


def _keep(trainer: Trainer, model: Model, model_dir: Path, features: Path) -> None:
    """Write down a trained model and what evaluation, search and analysis start from."""
    progress = trainer.progress
    with written_whole(model_dir / WEIGHTS) as path:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    write_embeddings(model_dir, trainer=trainer, model=model, features=features)
    write_json(model_dir / SETTINGS, trainer.settings.model_dump(mode="json", by_alias=True))
    write_json(model_dir / HISTORY, progress.history)
    write_json(model_dir / PROVENANCE, training_record())
    trained = {
        "fingerprint": read_json(model_dir / STARTED)["fingerprint"],
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "validation_recall_at_1": progress.best_recall,
        "seconds": progress.seconds,
        "n_parameters": counts_of(trainer.model),
    }
    write_json(model_dir / TRAINED, trained)
    (model_dir / CHECKPOINT).unlink(missing_ok=True)


def evaluate(settings: Settings, combination: Combination, embeddings: Embeddings) -> dict[str, Any]:
    """Measure retrieval on the test split: every pair, fused queries, and the control with shuffled pairs."""
    options: dict[str, Any] = {
        "seed": settings.seed,
        "chunk_size": settings.evaluation.chunk_size,
        "n_resamples": settings.evaluation.bootstrap_resamples,
    }
    if combination.is_single:
        hub = combination.hub
        present = retrieval.present_rows(embeddings[hub])
        first, second = (embeddings[f"{hub}.view{i}"][present] for i in range(VIEWS))
        shuffled = np.random.default_rng(settings.seed).permutation(second)
        pair = pair_name(hub, hub)
        return {
            "pairs": {pair: retrieval.evaluate_pair(first, second, kind="view", **options).as_dict()},
            "fused": {},
            "control": {pair: retrieval.evaluate_pair(first, shuffled, kind="view", **options).as_dict()},
            "unmeasured": {},
        }
    by_name = {name: retrieval.present_rows(embeddings[name]) for name in combination.modalities}
    return {
        "pairs": _plain(retrieval.evaluate_pairs(embeddings, by_name, combination, **options)),
        "fused": _plain(retrieval.fused_queries(embeddings, by_name, combination, **options)),
        "control": _plain(retrieval.evaluate_pairs(embeddings, by_name, combination, shuffled=True, **options)),
        "unmeasured": retrieval.unmeasured(by_name, combination),
    }


def _plain(results: dict[str, retrieval.RetrievalResult]) -> dict[str, dict[str, Any]]:
    return {name: result.as_dict() for name, result in results.items()}
