"""The register stage: every trained combination becomes a version of its registered model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json
from matbind.base.model_files import chosen_directory
from matbind.base.parallel import processes
from matbind.modalities.combinations import Combination, all_combinations
from matbind.registry.registrar import Registrar
from matbind.registry.registry import Registry
from matbind.serving.bundle import write_bundle

PARALLEL_FROM = 4  # models; for fewer, starting processes takes longer than it saves


def register_all(
    *, features: Path, models: Path, metrics: Path, out: Path, root: Path = Path(), log: Callable[[str], None]
) -> dict[str, Any]:
    """Register every combination that was trained, and write down which versions hold them.

    Args:
        features: the feature stores.
        models: holds a directory `<combination>/` of every trained one, with the trainings in it.
        metrics: holds their `<combination>.json`; one that failed says so and is left out.
        out: the JSON file to write.
        root: the project directory.
        log: is told the progress in sentences.

    Returns:
        As in the file: by combination the name, version, digest and run.

    Raises:
        UserError: if nothing was trained, or a model, the features or the store cannot be used.
    """
    registrar = Registrar(Registry(root), features=features, models=models)
    files = {combination.name: metrics / f"{combination.name}.json" for combination in all_combinations()}
    evaluations = {name: read_json(path) for name, path in files.items() if path.exists()}
    evaluations = {name: evaluation for name, evaluation in evaluations.items() if "pairs" in evaluation}
    if not evaluations:
        raise UserError(f"{metrics}: no combination's metrics are here, run the ablate stage first")
    combinations = {name: Combination(tuple(name.split("+")), e["hub"]) for name, e in evaluations.items()}
    lacking = [name for name, combination in combinations.items() if registrar.lacks(combination)]
    registered: dict[str, Any] = {}
    # The galleries are embedded in all processes of the machine, which is what takes long.
    workers = processes(0 if len(lacking) >= PARALLEL_FROM else 1)
    with tempfile.TemporaryDirectory() as directory, workers as pool:
        jobs = [
            (combinations[name], chosen_directory(models, name), features, Path(directory) / name) for name in lacking
        ]
        bundles = pool.map(_make_bundle, jobs)
        for done, (name, evaluation) in enumerate(evaluations.items(), start=1):
            bundle = next(bundles) if name in lacking else None
            version, is_new = registrar.register(combinations[name], evaluation, bundle=bundle)
            state = "made" if is_new else "holds this model already"
            log(f"{done} of {len(evaluations)} | {version.name}: version {version.number} {state}")
            registered[name] = {
                "name": version.name,
                "version": version.number,
                "digest": version.digest,
                "run_id": evaluation.get("run_id"),
            }
    write_json(out, {"models": registered})
    return registered


def _make_bundle(job: tuple[Combination, Path, Path, Path]) -> Path:
    import torch

    combination, model_dir, features, out = job
    torch.set_num_threads(1)  # the processes share the cores
    write_bundle(combination, model_dir=model_dir, features=features, out=out)
    return out
