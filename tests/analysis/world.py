"""Trained combinations without a training: embeddings with a known answer, for the materials of the tests' features."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.analysis.inputs import Inputs, Request
from matbind.analysis.symmetries import write_symmetries
from matbind.base.files import write_json
from matbind.base.model_files import training_directory
from matbind.base.parallel import SerialPool
from matbind.data.featurize import INDEX
from matbind.modalities.combinations import Combination, all_combinations, parse_combination
from matbind.modalities.table import HUB_ORDER
from matbind.settings.analysis import AnalysisSettings
from matbind.training.combination import evaluate
from tests.factories import real_features, small_run
from tests.serving.trained import trained

DIM = 16
ANALYSIS = AnalysisSettings.model_validate(
    {
        "permutations": 99,
        "jackknife_groups": 5,
        "curve_points": 50,
        "map_materials": 100,
        "bootstrap_resamples": 100,
        "worst_failures": 3,
        "pattern_points": 200,
        "robustness": {
            "pxrd": {
                "noise": [0.0, 0.5],
                "background": [0.0],
                "shift": [0.0, 0.1],
                "broadening": [0.0],
                "low_angles_missing": [0.0, 10.0],
                "high_angles_missing": [0.0, 85.0],
            },
            "dos": {"shift": [0.0, 1.0], "broadening": [0.0]},
        },
    }
)

Make = Callable[[Combination, np.ndarray], dict[str, np.ndarray]]
"""Embeddings by modality of the materials whose split is given."""


def noisy(noise: float) -> Make:
    """Every modality is the same random vector of the material with noise of its own."""

    def make(combination: Combination, split: np.ndarray) -> dict[str, np.ndarray]:
        same = np.random.default_rng(0).normal(size=(len(split), DIM))
        rng = np.random.default_rng([1, *map(len, combination.modalities)])
        return {name: same + noise * rng.normal(size=same.shape) for name in combination.modalities}

    return make


def write_models(
    results_dir: Path, *, make: Make | None = None, only: Iterable[str] | None = None, seeds: tuple[int, ...] = (0,)
) -> None:
    """Write `models/` and `metrics/` of combinations as the ablation leaves them, but for the weights.

    Args:
        results_dir: the directory to write to.
        make: embeddings of the first training; those of the others have a little noise besides.
        only: which combinations, by default all.
        seeds: of the trainings; the last is the combination's model.
    """
    split = pl.read_parquet(real_features() / INDEX)["split"].to_numpy().astype(str)
    ids = pl.read_parquet(real_features() / INDEX)["material_id"].to_numpy().astype(str)
    chosen = all_combinations() if only is None else [parse_combination(name) for name in only]
    for combination in chosen:
        name, trainings, tests = combination.name, [], []
        for seed in seeds:
            arrays = (make or noisy(0.3))(combination, split)
            rng = np.random.default_rng(seed)
            arrays = {
                side: values + 0.2 * (seed > 0) * rng.normal(size=values.shape) for side, values in arrays.items()
            }
            test = {side: values[split == "test"].astype(np.float32) for side, values in arrays.items()}
            if combination.is_single:
                hub = combination.hub
                test |= {f"{hub}.view0": test[hub], f"{hub}.view1": test[hub] + np.float32(0.1)}
            directory = training_directory(results_dir / "models", name, seed)
            directory.mkdir(parents=True)
            whole = {side: values.astype(np.float16) for side, values in arrays.items()}
            np.savez(directory / "embeddings.npz", material_id=ids, **whole)
            np.savez(directory / "test_embeddings.npz", material_id=ids[split == "test"], **test)
            write_json(directory / "trained.json", {"fingerprint": f"{name} {seed}"})
            tests.append(test)
            start = {"combination": name, "hub": combination.hub, "run_id": f"run of {name}", "seed": seed}
            end = {"fingerprint": f"{name} {seed}", "n_parameters": {"crystal": 7}}
            trainings.append({**start, **evaluate(small_run(), combination, [test]), **end})
        metrics = {
            **trainings[-1],
            **evaluate(small_run(), combination, tests),
            "seeds": list(seeds),
            "trainings": trainings,
        }
        write_json(results_dir / "models" / name / "chosen.json", {"seed": seeds[-1], "of": list(seeds)})
        write_json(results_dir / "metrics" / f"{name}.json", metrics)


def add_trained(results_dir: Path, name: str) -> None:
    """Put a combination beside them that was really trained, with its weights."""
    shutil.rmtree(results_dir / "models" / name, ignore_errors=True)
    shutil.copytree(trained(name).models / name, results_dir / "models" / name)
    shutil.copy(trained(name).metrics / f"{name}.json", results_dir / "metrics" / f"{name}.json")


def request(results_dir: Path, **changes: Any) -> Request:
    """The request for such results; symmetries are computed if there are none yet."""
    records = real_features().parent / "records"
    if not (results_dir / "symmetry.parquet").exists():
        write_symmetries(
            records,
            out=results_dir / "symmetry.parquet",
            scratch=real_features().parent / "symmetry",
            workers=SerialPool(),
        )
    fields = {
        "settings": ANALYSIS,
        "seed": 0,
        "hub_order": HUB_ORDER,
        "records": records,
        "features": real_features(),
        "models": results_dir / "models",
        "metrics": results_dir / "metrics",
        "out": results_dir,
        "state": str(results_dir),
    }
    return Request(**fields | changes)


def inputs_of(results_dir: Path, **changes: Any) -> Inputs:
    return Inputs(request(results_dir, **changes))
