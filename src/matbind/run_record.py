"""What a tracked run says of a combination: names, tags and figures, in a form a tracking store accepts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.files import read_json
from matbind.modality import Combination, metric_name

KINDS = ("aligned", "emergent", "view")
MEASURES = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mrr", "chance_at_1", "n")


def combination_tags(combination: Combination) -> dict[str, str]:
    """What a combination is, as tags to filter by."""
    return {
        "combination": combination.name,
        "hub": combination.hub,
        "spokes": ",".join(combination.spokes),
        "n_modalities": str(len(combination.modalities)),
    }


def summarise(found: Mapping[str, Any]) -> dict[str, float]:
    """Means over the pairs of each kind of a metrics file: ``recall_at_1.aligned_mean`` and the like."""
    means = {}
    for kind in KINDS:
        pairs = [pair for pair in found.get("pairs", {}).values() if pair["kind"] == kind]
        for measure in ("recall_at_1", "recall_at_5"):
            if pairs:
                means[f"{measure}.{kind}_mean"] = sum(float(pair[measure]) for pair in pairs) / len(pairs)
    return means


def flatten_metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """The finite figures of a metrics file, one number a name such as ``recall_at_1.text_to_dos``."""
    flat: dict[str, Any] = summarise(found)
    for pair, result in found.get("pairs", {}).items():
        query, key = pair.split("->")
        flat |= {f"{measure}.{metric_name(query, key)}": result[measure] for measure in MEASURES if measure in result}
    flat |= {f"training.{key}": found[key] for key in ("best_epoch", "seconds") if found.get(key) is not None}
    flat |= {f"n_parameters.{part}": count for part, count in (found.get("n_parameters") or {}).items()}
    return finite(flat)


def curve_point(figures: Mapping[str, float]) -> dict[str, float]:
    """One epoch's finite figures, named like ``validation_recall_at_1.text_to_crystal``."""
    return finite(
        {key.replace("->", "_to_"): value for key, value in figures.items() if key not in {"epoch", "seconds"}}
    )


def finite(figures: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that are numbers."""
    return {key: float(value) for key, value in figures.items() if math.isfinite(float(value))}


def result_digest(found: Mapping[str, Any]) -> str:
    """Digest of a metrics file, whichever run it names."""
    content = {key: value for key, value in found.items() if key != "run_id"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def stored_settings(home: Path) -> dict[str, str]:
    """The flat settings a model was trained with, from its directory; empty if they were not kept."""
    path = home / "settings.json"
    return dict(_flat(read_json(path))) if path.exists() else {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", str(value))]
    return rows
