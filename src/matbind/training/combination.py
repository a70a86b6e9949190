"""One training of a combination from features to figures: train it, keep the model, evaluate it on the test split.

A training is of a combination and a seed, and leaves everything behind in `models/<combination>/seed-<n>/`. A
fingerprint of the settings, the seed, the features and the code says whether what is there is still what would come
out, so a run that died is taken up again and a finished training is not repeated; where only the evaluation changed,
the stored test embeddings are evaluated anew. `pooled.py` puts the trainings of a combination together.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from matbind.base.files import FEATURES, MODELS, read_json, write_json, written_whole
from matbind.base.model_files import (
    ALL_EMBEDDINGS,
    CHECKPOINT,
    EVALUATION,
    HISTORY,
    NOVELTY,
    QUERIES,
    SETTINGS,
    STARTED,
    TEST_EMBEDDINGS,
    TRAINED,
    WEIGHTS,
    training_directory,
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
from matbind.training.embeddings import VIEWS, read_test_embeddings, write_embeddings
from matbind.training.model import Model, counts_of
from matbind.training.trainer import Trainer

_TRAINER = "training.combination"
_NOT_TRAINED_ON = {"analysis", "tune", "ablate", "complete", "prepare", "evaluation", "parallel", "validation"}


def train_and_evaluate(
    settings: Settings,
    combination: Combination,
    *,
    seed: int,
    features: Path = FEATURES,
    models: Path = MODELS,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train one combination and evaluate it on the test split, or return what is there if it is still valid.

    With several ranks (`torchrun`) all train together; rank 0 alone writes and evaluates, the others return nothing.

    Args:
        settings: all settings.
        combination: which modalities.
        seed: of the first weights, the order of the materials and the augmentation.
        features: the feature stores.
        models: `models/<combination>/seed-<n>/` is written here.
        on_epoch: is given each epoch's figures.
        log: is given sentences on the progress.

    Returns:
        The evaluation, as in the file.

    Raises:
        UserError: if the features are missing or cut short, or too few materials hold the combination.
    """
    model_dir = training_directory(models, combination.name, seed)
    done = is_done(settings, combination, seed=seed, features=features, models=models)
    wanted = fingerprint(settings, combination, seed, features)
    trained = _is_trained(model_dir, wanted)
    distributed.wait_for_all()  # before rank 0 changes what the others have just looked at
    if done:
        log(f"{combination.name}: already trained")
        return dict(read_json(model_dir / EVALUATION))
    if trained:
        log(f"{combination.name}: already trained, evaluated anew")
    else:
        if distributed.rank() == 0:
            _start_over_unless_of(wanted, model_dir)
        distributed.wait_for_all()
        trainer = Trainer(settings, combination, seed=seed, features=features)
        model = trainer.fit(model_dir, on_epoch=on_epoch, log=log)
        if distributed.rank() == 0:
            _keep(trainer, model, model_dir, features)
    if distributed.rank():
        return {}
    content = {
        "combination": combination.name,
        "hub": combination.hub,
        "run_id": None,
        **evaluate(settings, combination, [read_test_embeddings(model_dir)]),
        **read_json(model_dir / TRAINED),
        "evaluated_with": settings.evaluation.model_dump(mode="json"),
    }
    write_json(model_dir / EVALUATION, content)
    return content


def is_done(
    settings: Settings, combination: Combination, *, seed: int, features: Path = FEATURES, models: Path = MODELS
) -> bool:
    """Return whether a training and its evaluation are there and belong to these settings, features and code."""
    model_dir = training_directory(models, combination.name, seed)
    if not (model_dir / EVALUATION).exists():
        return False
    wanted, evaluation = fingerprint(settings, combination, seed, features), read_json(model_dir / EVALUATION)
    return (
        _is_trained(model_dir, wanted)
        and evaluation["fingerprint"] == wanted
        and evaluation["evaluated_with"] == settings.evaluation.model_dump(mode="json")
    )


def fingerprint(settings: Settings, combination: Combination, seed: int, features: Path) -> str:
    """Compute a digest of all that a trained model depends on: its settings, its seed, its features, the code.

    Raises:
        UserError: if the features are missing.
    """
    content = settings.model_dump(mode="json", exclude=_NOT_TRAINED_ON)
    used = {*combination.modalities, structure_name()}  # every combination takes its strain from the structure
    content["modalities"] = {name: block for name, block in content["modalities"].items() if name in used}
    stores = {name: read_json(features / name / MANIFEST)["digest"] for name in sorted(used)}
    digest = hashlib.sha256(json.dumps([combination.name, seed, content, stores], sort_keys=True).encode())
    read_split(features, "test")
    digest.update((features / "index.parquet").read_bytes())
    digest.update(code_digest(_TRAINER).encode())
    return digest.hexdigest()


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
        "combination": trainer.combination.name,
        "seed": trainer.seed,
        "fingerprint": read_json(model_dir / STARTED)["fingerprint"],
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "validation_recall_at_1": progress.best_recall,
        "seconds": progress.seconds,
        "n_parameters": counts_of(trainer.model),
    }
    write_json(model_dir / TRAINED, trained)
    (model_dir / CHECKPOINT).unlink(missing_ok=True)


def evaluate(
    settings: Settings, combination: Combination, trainings: Sequence[Mapping[str, retrieval.FloatArray]]
) -> dict[str, Any]:
    """Measure retrieval on the test split: every pair, fused queries, and the control with shuffled pairs.

    Args:
        settings: all settings.
        combination: which modalities.
        trainings: test embeddings of each; of several, all figures are the means of theirs.
    """
    chunk_size = settings.evaluation.chunk_size
    present = {name: retrieval.present_rows(trainings[0][name]) for name in combination.modalities}
    pairs, fused, control = [], [], []
    for embeddings in trainings:
        if combination.is_single:
            pairs.append(_rank_views(embeddings, present, combination, chunk_size=chunk_size))
            control.append(_rank_views(embeddings, present, combination, chunk_size=chunk_size, shuffle=settings.seed))
        else:
            answers = embeddings, present, combination
            pairs.append(retrieval.rank_pairs(*answers, chunk_size=chunk_size))
            fused.append(retrieval.rank_fused(*answers, chunk_size=chunk_size))
            control.append(retrieval.rank_pairs(*answers, chunk_size=chunk_size, shuffle=settings.seed))
    n_resamples = settings.evaluation.bootstrap_resamples
    results = {
        name: retrieval.summarise_all(ranked, seed=settings.seed, n_resamples=n_resamples) if ranked else {}
        for name, ranked in (("pairs", pairs), ("fused", fused), ("control", control))
    }
    unmeasured = {} if combination.is_single else retrieval.unmeasured(present, combination)
    return {
        **{name: {pair: result.as_dict() for pair, result in of.items()} for name, of in results.items()},
        "unmeasured": unmeasured,
    }


def _rank_views(
    embeddings: Mapping[str, retrieval.FloatArray],
    present: Mapping[str, retrieval.BoolArray],
    combination: Combination,
    *,
    chunk_size: int,
    shuffle: int | None = None,
) -> dict[str, retrieval.Ranked]:
    """Rank the second view of every material by its first, as `retrieval.rank_pairs` does for pairs."""
    hub = combination.hub
    first, second = (embeddings[f"{hub}.view{i}"][present[hub]] for i in range(VIEWS))
    if shuffle is not None:
        second = np.random.default_rng(shuffle).permutation(second)
    ranks = retrieval.ranks(first, second, chunk_size=chunk_size)
    return {pair_name(hub, hub): retrieval.Ranked("view", ranks)}
