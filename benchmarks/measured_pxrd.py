"""What training on worse patterns is worth when patterns are measured: crystal+pxrd with and without, in one run.

Usage, after `make run`:  python -m benchmarks.measured_pxrd [--epochs 6] [--combination crystal+pxrd] [--json FILE]

Prints validation recall@1 of pxrd -> crystal, for the patterns as simulated and as a worse measurement would give them,
and the mean over all aligned pairs. The test split is not touched: choices are made on validation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.choices import FEATURES, changed
from matbind.evaluation.retrieval import ranks
from matbind.modalities.combinations import parse_combination
from matbind.modalities.pxrd import features as pxrd
from matbind.modalities.pxrd.perturbations import PERTURBATIONS
from matbind.modalities.pxrd.transform import Transform
from matbind.modalities.store import MemoryStore
from matbind.settings.params import Settings
from matbind.training.trainer import Trainer

VIEWS = ("modalities", "pxrd", "transform")
VARIANTS: dict[str, dict[str, float]] = {
    "simulated patterns": {"noise": 0.0, "background": 0.0, "zero_shift_deg": 0.0, "hidden": 0.0},
    "half of the worse ones": {"noise": 0.02, "background": 0.1, "zero_shift_deg": 0.03, "hidden": 0.15},
    "worse patterns": {"noise": 0.05, "background": 0.2, "zero_shift_deg": 0.05, "hidden": 0.3},
}
MEASURED = (
    ("noise", 0.02),
    ("background", 0.05),
    ("background", 0.2),
    ("shift", 0.1),
    ("low_angles_missing", 5.0),
    ("high_angles_missing", 10.0),
    ("high_angles_missing", 30.0),
)


def measure(settings: Settings, combination: str) -> dict[str, float]:
    """Train once; recall of validation patterns as they are and perturbed."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(
            settings, parse_combination(combination, settings.hub_order), seed=settings.seed, features=FEATURES
        )
        model = trainer.fit(Path(directory))
    index, store = trainer.validation_index, trainer.stores["pxrd"]
    index = index[store.present[index]]
    keys = trainer.embed_split(model, "crystal", index, exact=True)
    rows = store.dense("pattern", index)
    specs = pxrd.specs(settings.modalities["pxrd"].features)
    nothing: dict[str, Any] = {k: np.zeros((0, *spec.row_shape)) for k, spec in specs.items() if spec.ragged}
    recalls = {"aligned": trainer.progress.best_recall, "cpu_seconds": time.process_time() - started}
    for name, strength in (("noise", 0.0), *MEASURED):
        worse = PERTURBATIONS[name](rows, strength, bounds=store.meta["two_theta_deg"])
        perturbed = MemoryStore(specs, [{**nothing, "pattern": row} for row in worse], store.meta)
        trainer.transforms["pxrd"] = Transform(perturbed, settings.modalities["pxrd"].transform)
        queries = trainer.embed_split(model, "pxrd", np.arange(len(rows)), exact=True)
        label = f"{name} {strength:g}" if strength else "as simulated"
        recalls[label] = float(np.mean(ranks(queries, keys) <= 1))
    return recalls


def main() -> None:
    """Run the variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--combination", default="crystal+pxrd")
    parser.add_argument("--only", default="", help="a part of the names of the variants to run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    found = {}
    for name, values in VARIANTS.items():
        if options.only in name:
            changes: dict[tuple[str, ...], Any] = {(*VIEWS, key): value for key, value in values.items()}
            changes["presets", "small", "training", "epochs"] = options.epochs
            found[name] = measure(changed(raw, changes), options.combination)
            print(name, ", ".join(f"{key} {value:.3f}" for key, value in found[name].items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
