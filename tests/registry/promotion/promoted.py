"""Registered models to promote: versions with evaluations of any recall, in a real store; nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.files import write_json
from matbind.evaluation.two_level import share_interval
from matbind.modalities.combinations import parse_combination
from matbind.registry.registry import CHALLENGER, Registry, Version, registered_name
from matbind.serving.bundle import test_set_digest as split_digest
from matbind.tracking.record import combination_tags, result_digest, summarise

COMBINATION = "crystal+pxrd"
NAME = "matbind-crystal-pxrd"
N_TEST = 200


def write_features(root: Path, *, n_test: int = N_TEST) -> Path:
    """As much of the feature stores as tells the test split."""
    features = root / "artifacts" / "features"
    features.mkdir(parents=True, exist_ok=True)
    ids = [f"m-{number}" for number in range(n_test + 50)]
    split = ["test"] * n_test + ["train"] * 50
    pl.DataFrame({"material_id": ids, "split": split}).write_parquet(features / "index.parquet")
    return features


def evaluation(
    recall: float = 0.5, *, combination: str = COMBINATION, n: int = N_TEST, pairs: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """A metrics file in which every pair has the same recall@1, but for those that are given."""
    import numpy as np

    parsed = parse_combination(combination)
    measured = {}
    for query, key in parsed.pairs():
        hits = np.arange(n) < round((pairs or {}).get(f"{query}->{key}", recall) * n)
        measured[f"{query}->{key}"] = {
            "kind": parsed.kind(query, key),
            "n": n,
            "recall_at_1": float(hits.mean()),
            "recall_at_5": 1.0,
            "recall_at_1_ci95": list(share_interval(hits, seed=0)),
            "n_seeds": 1,
            "recall_at_1_sd": None,
        }
    return {
        "combination": parsed.name,
        "hub": parsed.hub,
        "pairs": measured,
        "data_md5": "12.dir",
        "git_commit": "abcdef01234",
    }


def add_version(
    registry: Registry,
    metrics: dict[str, Any],
    *,
    features: Path,
    attached: dict[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    files: Path,
) -> Version:
    """Register a version that holds nothing but its evaluation, and make it the challenger.

    Args:
        metrics: its evaluation.
        features: whose test split its tags name.
        attached: what is kept in the place of the evaluation; nothing if empty.
        tags: others than those that follow from the evaluation.
        files: a directory to write to.
    """
    name, combination = registered_name(metrics["combination"]), parse_combination(metrics["combination"])
    number = len(registry.versions(name)) + 1
    model = registry.client.create_logged_model(registry.experiment, name=name)
    kept = metrics if attached is None else attached
    if kept:
        write_json(files / f"{name}-{number}" / "evaluation.json", kept)
        registry.client.log_model_artifacts(model.model_id, str(files / f"{name}-{number}"))
    registry.client.finalize_logged_model(model.model_id, "READY")
    evaluation_tags = {key: value for key, value in combination_tags(combination).items() if value} | {
        "data_md5": str(metrics["data_md5"]),
        "git_commit": str(metrics["git_commit"]),
        "test_set_digest": split_digest(features),
        **{key: f"{mean:.4f}" for key, mean in summarise(metrics).items()},
        "matbind.digest": f"digest-{number}",
        "matbind.evaluation": result_digest(metrics),
        "training_seed": "2",
        "seeds": "0 1 2",
    }
    if number == 1:
        registry.client.create_registered_model(name)
    with registry.as_default_store():
        registry.client.create_model_version(
            name, f"models:/{model.model_id}", tags=evaluation_tags | dict(tags or {}), model_id=model.model_id
        )
    version = registry.versions(name)[0]
    registry.set_alias(version, CHALLENGER)
    return version


def changed(metrics: dict[str, Any], pair: str, **figures: Any) -> dict[str, Any]:
    """An evaluation with other figures of a pair."""
    other = copy.deepcopy(metrics)
    other["pairs"][pair] |= figures
    return other
