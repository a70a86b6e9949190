"""What the choices of the preset `small` are worth: the same training with one thing changed at a time, over seeds.

Usage, after `make run`:  python -m benchmarks.choices [--seeds 0,1,2] [--epochs N] [--only small,strain] [--json FILE]

Prints recall@1 on the validation split: the means over the aligned and over the emergent pairs, and both directions of
each pair together, as mean over the seeds and standard deviation between them; and CPU seconds of a training. The test
split is not touched: choices are made on validation. With `--json`, what the file holds already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from matbind.data.featurize import featurize
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.training.trainer import Trainer

RECORDS, FEATURES = Path("artifacts/records"), Path("artifacts/features")
SMALL = ("presets", "small")
DOS_ENCODER = (*SMALL, "modalities", "dos", "encoder")
PRESET = "preset small"
VARIANTS: dict[str, tuple[str, dict[tuple[str, ...], Any]]] = {
    PRESET: ("crystal+dos+pxrd+text", {}),
    "hub as a whole only": ("crystal+dos+pxrd+text", {("model", "hub_part_weight"): 0.0}),
    "parts of the hub with weight 0.1": ("crystal+dos+pxrd+text", {("model", "hub_part_weight"): 0.1}),
    "parts of the hub with weight 1": ("crystal+dos+pxrd+text", {("model", "hub_part_weight"): 1.0}),
    "strain of 3 %": ("crystal+dos+pxrd+text", {("deformation", "volumetric"): 0.03, ("deformation", "shape"): 0.01}),
    "no strain": ("crystal+dos+pxrd+text", {("deformation", "volumetric"): 0.0, ("deformation", "shape"): 0.0}),
    "all sentences of a text": ("crystal+dos+pxrd+text", {("modalities", "text", "transform", "train_tokens"): 0}),
    "space of 256 dimensions": ("crystal+dos+pxrd+text", {("model", "projection_dim"): 256}),
    "learning rate of 0.002": ("crystal+dos+pxrd+text", {(*SMALL, "training", "learning_rate"): 2.0e-3}),
    "batches of 64": ("crystal+dos+pxrd+text", {(*SMALL, "training", "batch_size"): 64}),
    "batches of 256": ("crystal+dos+pxrd+text", {(*SMALL, "training", "batch_size"): 256}),
    "larger DOS encoder (128, 3 layers)": (
        "crystal+dos+pxrd+text",
        {(*DOS_ENCODER, "width"): 128, (*DOS_ENCODER, "layers"): 3, (*DOS_ENCODER, "feedforward"): 384},
    ),
    "no reciprocal readout (CGConv alone)": (
        "crystal+dos+pxrd+text",
        {(*SMALL, "modalities", "crystal", "encoder", "reciprocal"): None},
    ),
    "crystal+text: BERT from scratch": ("crystal+text", {}),
    "crystal+text: frozen checkpoint": (
        "crystal+text",
        {(*SMALL, "modalities", "text", "features", "tokenizer"): "frozen"},
    ),
}


def changed(raw: dict[str, Any], changes: dict[tuple[str, ...], Any]) -> Settings:
    """The settings with some values replaced."""
    raw = json.loads(json.dumps(raw))
    for path, value in changes.items():
        section = raw
        for key in path[:-1]:
            section = section[key]
        section[path[-1]] = value
    return settings_module.parse(raw, preset="small")


def measure(settings: Settings, combination: str, features: Path) -> dict[str, float]:
    """Train once and return validation recall@1 by pair, its means by kind of pair, and CPU seconds."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        parsed = parse_combination(combination, settings.hub_order)
        trainer = Trainer(settings, parsed, seed=settings.seed, features=features)
        model = trainer.fit(Path(directory))
    index = trainer.validation_index
    present = {name: trainer.stores[name].present[index] for name in trainer.combination.modalities}
    embeddings = {name: np.zeros((len(index), settings.model.projection_dim), np.float32) for name in present}
    for name, rows in present.items():
        embeddings[name][rows] = trainer.embed_split(model, name, index[rows])
    results = evaluate_pairs(embeddings, present, trainer.combination, n_resamples=1)
    recalls = {pair: result.recall_at_1 for pair, result in results.items()}
    of_kind = {kind: [r.recall_at_1 for r in results.values() if r.kind == kind] for kind in ("aligned", "emergent")}
    means = {kind: statistics.fmean(values) for kind, values in of_kind.items() if values}
    return {"recall_at_1": means["aligned"], **means, "cpu_seconds": time.process_time() - started, **recalls}


def summary(measured: dict[str, dict[str, float]]) -> str:
    """Describe the trainings of one variant by their mean and their spread."""
    keys = list(next(iter(measured.values())))
    columns = {key: [row[key] for row in measured.values()] for key in keys}
    pairs = [(key, "->".join(reversed(key.split("->")))) for key in keys if "->" in key]
    both = [(a, b) for a, b in pairs if a < b]
    text = ", ".join(
        f"{key} {statistics.fmean(columns[key]):.3f}"
        + (f" ({statistics.stdev(columns[key]):.3f})" if len(measured) > 1 else "")
        for key in ("aligned", "emergent")
        if key in columns
    )
    parts = ", ".join(f"{a.replace('->', ' <-> ')} {statistics.fmean(columns[a] + columns[b]):.3f}" for a, b in both)
    return f"{text}; {statistics.fmean(columns['cpu_seconds']):.0f} CPU s; {len(measured)} seeds; {parts}"


def main() -> None:
    """Run the variants and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help="as in params.yaml without")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", help="a part of the names of the variants to run, comma-separated")
    parser.add_argument("--checkpoint", help="directory of a language model for the frozen variant, left out without")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    wanted = options.only.split(",") if options.only else [""]
    measured: dict[str, dict[str, dict[str, float]]] = {}
    if options.json and options.json.exists():
        measured = json.loads(options.json.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        for name, (combination, of_variant) in VARIANTS.items():
            is_frozen = "frozen" in name
            if not any(part in name for part in wanted) or (is_frozen and options.checkpoint is None):
                continue
            changes = {**of_variant, (*SMALL, "training", "validate_every"): 1000}
            if options.epochs:
                changes[*SMALL, "training", "epochs"] = options.epochs
            features = FEATURES
            if is_frozen:
                changes[*SMALL, "modalities", "text", "features", "checkpoint"] = options.checkpoint
                features = Path(scratch) / "features"
                featurize(changed(raw, changes), records=RECORDS, out=features, log=lambda _: None)
            for seed in options.seeds.split(","):
                rows = measured.setdefault(name, {})
                if seed not in rows:
                    rows[seed] = measure(changed(raw, {**changes, ("seed",): int(seed)}), combination, features)
                    if options.json:
                        options.json.write_text(json.dumps(measured, indent=1))
            print(f"{name}: {summary(measured[name])}", flush=True)


if __name__ == "__main__":
    main()
