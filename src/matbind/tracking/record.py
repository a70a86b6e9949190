"""What a tracked run says of a combination: names, tags and figures, in a form a tracking store accepts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matbind.base.files import read_json
from matbind.base.model_files import SETTINGS
from matbind.modalities.combinations import Combination, metric_name
from matbind.modalities.table import modality_names
from matbind.settings.params import flatten

KINDS = ("aligned", "emergent", "view")
SEED = "training_seed"  # tag and parameter of a run
RETRIEVAL, TRAINING = "retrieval/", "training/"  # sections of MLflow's charts
LOSS = f"{TRAINING}loss"  # every epoch of every training has it
COMPARED = ("preset", "seed", "hub_order", "model", "training", "deformation")
COMPARED_OF_MODALITY = ("transform", "encoder")
MEASURES = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mrr", "chance_at_1", "n")


def combination_tags(combination: Combination) -> dict[str, str]:
    """Return what a combination is, as tags to filter by."""
    return {
        "combination": combination.name,
        "hub": combination.hub,
        "spokes": ",".join(combination.spokes),
        "n_modalities": str(len(combination.modalities)),
    }


def training_name(combination: str, seed: int, seeds: Sequence[int]) -> str:
    """Return what people call a training: the combination, and its seed if it is trained with others too."""
    return combination if list(seeds) == [seed] else f"{combination} seed {seed}"


def training_of(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the evaluation of the training that is a combination's model, from the content of its metrics file."""
    return next(training for training in evaluation["trainings"] if training["seed"] == evaluation["seed"])


def training_params(combination: Combination, seed: int) -> dict[str, str]:
    """Return what is trained, as parameters: MLflow draws recall against each modality, 0 or 1."""
    present = {f"with_{name}": str(int(name in combination.modalities)) for name in modality_names()}
    return {"combination": combination.name, "hub": combination.hub, SEED: str(seed), **present}


def compared_settings(settings: Mapping[str, Any], kind: str, modalities: Iterable[str]) -> dict[str, str]:
    """Return the settings that one compares between runs, flat; a run keeps all of them in its settings.json.

    Args:
        settings: all of them, as in that file.
        kind: of the run.
        modalities: those that a run trains on; of others there is nothing to compare.
    """
    sections = {"validation": ("preset", "validate"), "tuning": (*COMPARED, "tune")}.get(kind, COMPARED)
    compared = {section: settings[section] for section in sections if section in settings}
    if kind not in {"validation", "tuning"}:
        blocks = settings.get("modalities", {})
        compared["modalities"] = {
            name: {part: blocks[name][part] for part in COMPARED_OF_MODALITY} for name in modalities if name in blocks
        }
    return flatten(compared)


def summarise(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Average the pairs of each kind of a metrics file: ``recall_at_1.aligned_mean`` and the like."""
    means = {}
    for kind in KINDS:
        pairs = [pair for pair in evaluation.get("pairs", {}).values() if pair["kind"] == kind]
        for measure in ("recall_at_1", "recall_at_5"):
            if pairs:
                means[f"{measure}.{kind}_mean"] = sum(float(pair[measure]) for pair in pairs) / len(pairs)
    return means


def flatten_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a metrics file, one number a name such as ``recall_at_1.text_to_dos``.

    MLflow draws a chart a name and folds those with a slash into sections: recall comes first and alone.
    """
    flat: dict[str, Any] = summarise(evaluation)
    for measure in ("recall_at_1", "recall_at_5"):
        means = [flat[mean] for kind in ("aligned", "view") if (mean := f"{measure}.{kind}_mean") in flat]
        flat |= {f"{measure}.with_hub": mean for mean in means}  # the one figure that all combinations have
    for pair, result in evaluation.get("pairs", {}).items():
        query, key = pair.split("->")
        for measure in MEASURES:
            if measure in result:
                flat[_metric_of_pair(measure, query, key)] = result[measure]
    trained = {key: evaluation[key] for key in ("best_epoch", "seconds") if evaluation.get(key) is not None}
    flat |= {f"{TRAINING}{key}": figure for key, figure in trained.items()}
    return {name: float(value) for name, value in flat.items()}


def curve_point(figures: Mapping[str, float]) -> dict[str, float]:
    """Name one epoch's figures like ``training/validation_recall_at_1.text_to_crystal``."""
    return {
        TRAINING + key.replace("->", "_to_"): float(value)
        for key, value in figures.items()
        if key not in {"epoch", "seconds"}
    }


def parted(figures: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Part figures into those that are numbers, and the names of those that are NaN or infinite."""
    numbers = {name: value for name, value in figures.items() if math.isfinite(value)}
    return numbers, sorted(figures.keys() - numbers.keys())


def describe_combination(evaluation: Mapping[str, Any]) -> str:
    """Write what a combination reached, as a Markdown table of its pairs."""
    header = ["query → key", "kind", "N", "recall@1", "95 % interval", "recall@5", "median rank", "chance@1"]
    rows = []
    for pair, result in evaluation.get("pairs", {}).items():
        low, high = result.get("recall_at_1_ci95") or (None, None)
        interval = "" if low is None else f"{low:.3f} to {high:.3f}"
        cells = [pair.replace("->", " → "), result["kind"], str(result["n"])]
        cells += [_cell(result, "recall_at_1"), interval, _cell(result, "recall_at_5")]
        rows.append([*cells, _cell(result, "median_rank", ".1f"), _cell(result, "chance_at_1", ".4f")])
    title = f"**{evaluation['combination']}**, hub {evaluation['hub']}: retrieval on the test split.\n\n"
    text = title + markdown_table(header, rows)
    if evaluation.get("seconds") is not None:
        text += f"\n\nTrained for {float(evaluation['seconds']):.0f} s; best epoch {evaluation.get('best_epoch')}."
    return text


def describe_ablation(children: Mapping[str, Mapping[str, float]]) -> str:
    """Write what the combinations of an ablation reached, metrics by name, as a Markdown table."""
    rows = [
        [name, *(_cell(metrics, f"recall_at_1.{kind}_mean") for kind in KINDS)]
        for name, metrics in sorted(children.items(), key=lambda item: (item[0].count("+"), item[0]))
    ]
    title = "Means of recall@1 on the test split over the pairs of each kind.\n\n"
    return title + markdown_table(["combination", *KINDS], rows)


def pair_rows(combination: Combination, seed: str, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return what a training reached on each of its pairs, from the metrics of its run, as rows of a table."""
    rows = []
    for query, key in combination.pairs():
        kind = combination.kind(query, key)
        row: dict[str, Any] = {
            "combination": combination.name,
            "seed": seed,
            "hub": combination.hub,
            "query": query,
            "target": key,
            "kind": kind,
        }
        for measure in MEASURES:
            row[measure] = metrics.get(_metric_of_pair(measure, query, key))
        rows.append(row)
    return rows


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


def _metric_of_pair(measure: str, query: str, key: str) -> str:
    section = "" if measure.startswith("recall") else RETRIEVAL
    return f"{section}{measure}.{metric_name(query, key)}"


def _cell(figures: Mapping[str, Any], name: str, form: str = ".3f") -> str:
    return format(float(figures[name]), form) if figures.get(name) is not None else ""


def result_digest(evaluation: Mapping[str, Any]) -> str:
    """Return a digest of a metrics file, whichever run it names."""
    content = {key: value for key, value in evaluation.items() if key != "run_id"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def stored_settings(model_dir: Path) -> dict[str, Any]:
    """Read the settings a model was trained with from its directory; empty if they were not kept."""
    path = model_dir / SETTINGS
    return dict(read_json(path)) if path.exists() else {}
