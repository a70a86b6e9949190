"""What the choices of the preset `small` are worth: the same training with one thing changed, in one run.

Usage, after `make run`:  python benchmarks/choices.py [--epochs 6] [--only small,strain] [--json FILE]

Prints validation recall@1 (mean over the aligned pairs, both directions) and CPU seconds of each variant.
The test split is not touched: choices are made on validation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from matbind.data.featurize import featurize
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.training.trainer import Trainer

RECORDS, FEATURES = Path("artifacts/records"), Path("artifacts/features")
SMALL = ("presets", "small")
VARIANTS: dict[str, tuple[str, dict[tuple[str, ...], Any]]] = {
    "preset small": ("crystal+dos+pxrd+text", {}),
    "no reciprocal readout (CGConv alone)": (
        "crystal+dos+pxrd+text",
        {(*SMALL, "modalities", "crystal", "encoder", "reciprocal"): None},
    ),
    "no branch dropout": (
        "crystal+dos+pxrd+text",
        {(*SMALL, "modalities", "crystal", "encoder", "branch_dropout"): 0.0},
    ),
    "no strain": ("crystal+dos+pxrd+text", {("deformation", "volumetric"): 0.0, ("deformation", "shape"): 0.0}),
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
    """Train once and return validation recall and CPU seconds."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(settings, parse_combination(combination, settings.hub_order), features=features)
        trainer.fit(Path(directory))
    last = trainer.progress.history[-1]
    recalls = {k.removeprefix("validation_recall_at_1"): v for k, v in last.items() if k.startswith("validation")}
    return {"recall_at_1": recalls.pop(""), "cpu_seconds": time.process_time() - started, **recalls}


def main() -> None:
    """Run the variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", help="a part of the names of the variants to run, comma-separated")
    parser.add_argument("--checkpoint", help="directory of a language model for the frozen variant, left out without")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    wanted = options.only.split(",") if options.only else [""]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (combination, changes) in VARIANTS.items():
            is_frozen = "frozen" in name
            if not any(part in name for part in wanted) or (is_frozen and options.checkpoint is None):
                continue
            checkpoint = {(*SMALL, "modalities", "text", "features", "checkpoint"): options.checkpoint}
            epochs = {(*SMALL, "training", "epochs"): options.epochs}
            settings = changed(raw, {**changes, **epochs, **(checkpoint if is_frozen else {})})
            features = FEATURES
            if is_frozen:
                features = Path(scratch) / "features"
                started = time.process_time()
                featurize(settings, records=RECORDS, out=features, log=lambda _: None)
                print(f"featurized anew in {time.process_time() - started:.0f} CPU s (shared by all trainings)")
            found[name] = measure(settings, combination, features)
            own = found[name]
            pairs = ", ".join(f"{k[1:]} {v:.2f}" for k, v in own.items() if k.startswith("."))
            print(f"{name}: recall@1 {own['recall_at_1']:.3f} in {own['cpu_seconds']:.0f} CPU s ({pairs})", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
