"""Registered models to promote: versions with evaluations of any recall, in a real store; nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.files import write_json
from matbind.evaluation.retrieval import bootstrap_interval
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

    own = parse_combination(combination)
    found = {}
    for query, key in own.pairs():
        hits = np.arange(n) < round((pairs or {}).get(f"{query}->{key}", recall) * n)
        found[f"{query}->{key}"] = {
            "kind": own.kind(query, key),
            "n": n,
            "recall_at_1": float(hits.mean()),
            "recall_at_5": 1.0,
            "recall_at_1_ci95": list(bootstrap_interval(hits, seed=0)),
        }
    return {"combination": own.name, "hub": own.hub, "pairs": found, "data_md5": "12.dir", "git_commit": "abcdef01234"}


def add_version(
    registry: Registry,
    found: dict[str, Any],
    *,
    features: Path,
    attached: dict[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    files: Path,
) -> Version:
    """Register a version that holds nothing but its evaluation, and make it the challenger.

    Args:
        found: its evaluation.
        features: whose test split its tags name.
        attached: what is kept in the place of the evaluation; nothing if empty.
        tags: others than those that follow from the evaluation.
        files: a directory to write to.
    """
    name, own = registered_name(found["combination"]), parse_combination(found["combination"])
    number = len(registry.versions(name)) + 1
    model = registry.client.create_logged_model(registry.experiment, name=name)
    kept = found if attached is None else attached
    if kept:
        write_json(files / f"{name}-{number}" / "evaluation.json", kept)
        registry.client.log_model_artifacts(model.model_id, str(files / f"{name}-{number}"))
    registry.client.finalize_logged_model(model.model_id, "READY")
    told = {key: value for key, value in combination_tags(own).items() if value} | {
        "data_md5": str(found["data_md5"]),
        "git_commit": str(found["git_commit"]),
        "test_set_digest": split_digest(features),
        **{key: f"{mean:.4f}" for key, mean in summarise(found).items()},
        "matbind.digest": f"digest-{number}",
        "matbind.evaluation": result_digest(found),
    }
    if number == 1:
        registry.client.create_registered_model(name)
    with registry.as_default_store():
        registry.client.create_model_version(
            name, f"models:/{model.model_id}", tags=told | dict(tags or {}), model_id=model.model_id
        )
    version = registry.versions(name)[0]
    registry.set_alias(version, CHALLENGER)
    return version


def changed(found: dict[str, Any], pair: str, **figures: Any) -> dict[str, Any]:
    """An evaluation with other figures of a pair."""
    other = copy.deepcopy(found)
    other["pairs"][pair] |= figures
    return other
