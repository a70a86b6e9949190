"""One combination from features to metrics: train it, keep the model, evaluate it on the test split.

Everything a combination leaves behind is in `models/<combination>/` and in its metrics file. A fingerprint of the
settings, the
features and the code says whether what is there is still what would come out, so a run that died is taken up again
and a finished combination is not trained twice; where only the evaluation changed, the stored test embeddings are
evaluated anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.files import read_json, write_json, written_whole
from matbind.base.provenance import PROVENANCE, training_record
from matbind.data.featurize import read_split
from matbind.evaluation import retrieval
from matbind.modalities.code import code_digest
from matbind.modalities.combinations import Combination, pair_name
from matbind.modalities.store import MANIFEST
from matbind.settings.params import Settings
from matbind.training import distributed
from matbind.training.embeddings import (
    ALL_EMBEDDINGS,
    TEST_EMBEDDINGS,
    VIEWS,
    Embeddings,
    read_test_embeddings,
    write_embeddings,
)
from matbind.training.model import counts_of

WEIGHTS, SETTINGS, HISTORY, TRAINED, DONE = (
    "model.safetensors",
    "settings.json",
    "history.json",
    "trained.json",
    "done.json",
)
_TRAINER = "training.combination"
_NOT_TRAINED_ON = {"analysis", "tune", "ablate", "complete", "prepare", "evaluation", "parallel", "validation"}


def train_and_evaluate(
    settings: Settings,
    combination: Combination,
    *,
    features: Path,
    models: Path,
    metrics: Path,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
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
        log: is told the progress in sentences.

    Returns:
        The metrics, as in the file.

    Raises:
        UserError: if the features are missing or cut short, or too few materials hold the combination.
    """
    home, result = models / combination.name, metrics / f"{combination.name}.json"
    done = is_done(settings, combination, features=features, models=models, metrics=metrics)
    mark = fingerprint(settings, combination, features)
    trained = _is_trained(home, mark)
    distributed.wait_for_all()  # before rank 0 changes what the others have just looked at
    if done:
        log(f"{combination.name}: already trained")
        return dict(read_json(result))
    if trained:
        log(f"{combination.name}: already trained, evaluated anew")
    else:
        if distributed.rank() == 0:
            _claim(home, mark)
        distributed.wait_for_all()
        _train(settings, combination, features, home, on_epoch, log)
    if distributed.rank():
        return {}
    found = {
        "combination": combination.name,
        "hub": combination.hub,
        "run_id": None,
        **evaluate(settings, combination, read_test_embeddings(home)),
        **read_json(home / TRAINED),
    }
    write_json(result, found)
    write_json(home / DONE, {"fingerprint": mark, "evaluation": _evaluation_of(settings)})
    return found


def is_done(settings: Settings, combination: Combination, *, features: Path, models: Path, metrics: Path) -> bool:
    """Whether a combination's model and metrics are there and belong to these settings, features and code."""
    home, result = models / combination.name, metrics / f"{combination.name}.json"
    if not (home / DONE).exists() or not result.exists():
        return False
    mark = fingerprint(settings, combination, features)
    told = {"fingerprint": mark, "evaluation": _evaluation_of(settings)}
    return _is_trained(home, mark) and bool(read_json(home / DONE) == told)


def fingerprint(settings: Settings, combination: Combination, features: Path) -> str:
    """Digest of all that a trained model depends on: its settings, its features, the code.

    Raises:
        UserError: if the features are missing.
    """
    told = settings.model_dump(mode="json", exclude=_NOT_TRAINED_ON)
    used = {*combination.modalities, "crystal"}  # every combination takes its strain from the crystal's symmetry
    told["modalities"] = {name: block for name, block in told["modalities"].items() if name in used}
    stores = {name: read_json(features / name / MANIFEST)["digest"] for name in sorted(used)}
    digest = hashlib.sha256(json.dumps([combination.name, told, stores], sort_keys=True).encode())
    read_split(features, "test")
    digest.update((features / "index.parquet").read_bytes())
    digest.update(code_digest(_TRAINER).encode())
    return digest.hexdigest()


def _evaluation_of(settings: Settings) -> dict[str, Any]:
    return settings.evaluation.model_dump(mode="json")


def _is_trained(home: Path, mark: str) -> bool:
    files = (WEIGHTS, SETTINGS, HISTORY, TRAINED, TEST_EMBEDDINGS, ALL_EMBEDDINGS)
    return all((home / name).exists() for name in files) and bool(read_json(home / TRAINED)["fingerprint"] == mark)


def _claim(home: Path, mark: str) -> None:
    """Make the directory ours: what other settings left there, a checkpoint above all, is removed."""
    claim = home / "started.json"
    if not claim.exists() or read_json(claim) != {"fingerprint": mark}:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        write_json(claim, {"fingerprint": mark})


def _train(  # noqa: PLR0917
    settings: Settings,
    combination: Combination,
    features: Path,
    home: Path,
    on_epoch: Callable[[dict[str, float]], None] | None,
    log: Callable[[str], None],
) -> None:
    from safetensors.torch import save_file

    from matbind.training.trainer import CHECKPOINT, Trainer

    trainer = Trainer(settings, combination, features=features)
    model = trainer.fit(home, on_epoch=on_epoch, log=log)
    if distributed.rank():
        return
    progress = trainer.progress
    with written_whole(home / WEIGHTS) as path:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    write_embeddings(home, combination, trainer=trainer, model=model, features=features)
    write_json(home / SETTINGS, settings.model_dump(mode="json", by_alias=True))
    write_json(home / HISTORY, progress.history)
    write_json(home / PROVENANCE, training_record())
    trained = {
        "fingerprint": read_json(home / "started.json")["fingerprint"],
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "validation_recall_at_1": progress.best_recall,
        "seconds": progress.seconds,
        "n_parameters": counts_of(trainer.model),
    }
    write_json(home / TRAINED, trained)
    (home / CHECKPOINT).unlink(missing_ok=True)


def evaluate(settings: Settings, combination: Combination, embeddings: Embeddings) -> dict[str, Any]:
    """Retrieval of a combination on the test split: every pair, fused queries, and the control with shuffled pairs."""
    own = {
        "seed": settings.seed,
        "chunk_size": settings.evaluation.chunk_size,
        "n_resamples": settings.evaluation.bootstrap_resamples,
    }
    if combination.is_single:
        hub = combination.hub
        rows = _held(embeddings[hub])
        a, b = (embeddings[f"{hub}.view{i}"][rows] for i in range(VIEWS))
        shuffled = np.random.default_rng(settings.seed).permutation(b)
        pair = pair_name(hub, hub)
        return {
            "pairs": {pair: retrieval.evaluate_views(a, b, **own).as_dict()},
            "fused": {},
            "control": {pair: retrieval.evaluate_views(a, shuffled, **own).as_dict()},
            "unmeasured": {},
        }
    present = {name: _held(embeddings[name]) for name in combination.modalities}
    return {
        "pairs": _plain(retrieval.evaluate_pairs(embeddings, present, combination, **own)),
        "fused": _plain(retrieval.fused_queries(embeddings, present, combination, **own)),
        "control": _plain(retrieval.shuffled_control(embeddings, present, combination, **own)),
        "unmeasured": retrieval.unmeasured(present, combination),
    }


def _held(embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(embedding).all(axis=1))


def _plain(results: dict[str, retrieval.RetrievalResult]) -> dict[str, dict[str, Any]]:
    return {name: result.as_dict() for name, result in results.items()}
