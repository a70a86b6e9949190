"""The analyse stage: all questions, asked side by side, written as JSON and Parquet for figures and page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from matbind.analysis import (
    failures,
    fused,
    gallery,
    geometry,
    helping,
    maps,
    parameters,
    perovskites,
    probes,
    robustness,
)
from matbind.analysis.inputs import Inputs, Request
from matbind.analysis.symmetries import write_symmetries
from matbind.analysis.task import perform, write_result
from matbind.base.errors import UserError
from matbind.base.files import written_whole
from matbind.base.ledger import digest
from matbind.base.parallel import Workers
from matbind.data.featurize import INDEX
from matbind.modalities.material import SPLITS
from matbind.modalities.records import Records
from matbind.modalities.store import Store
from matbind.modalities.table import modality_names
from matbind.training.embeddings import require_same_materials

MAPS = "maps.parquet"
Results = Mapping[str, Mapping[str, Any]]
"""By question and key of the task."""

QUESTIONS: Mapping[str, ModuleType] = MappingProxyType(
    {
        module.__name__.rpartition(".")[2]: module
        for module in (failures, fused, gallery, geometry, helping, maps, perovskites, probes, robustness)
    }
)
"""Modules with `tasks(inputs)`, the work that other processes can do, and `assemble(inputs, results)`, the answer."""


def analyse(
    request: Request,
    *,
    latent: Path,
    shapley: Path,
    scratch: Path,
    params: Path,
    log: Callable[[str], None],
    workers: Workers,
) -> None:
    """Answer every question of the trained models; one that the data cannot answer says so in its place.

    Args:
        request: what is asked, of what, and where the answers go; its state is set here.
        latent: the file of the overlaps as metrics.
        shapley: the file of the Shapley values as metrics.
        scratch: keeps what need not be computed again.
        params: params.yaml, for the parameters of every preset.
        log: takes the progress in sentences.
        workers: where the work is done; the results are the same whoever does it.

    Raises:
        UserError: if no combination was trained, or records, features and models do not belong together.
    """
    inputs = Inputs(replace(request, state=_state(request)))
    _require_same_materials(inputs)
    computed = write_symmetries(request.records, out=request.symmetry, scratch=scratch, workers=workers)
    log(f"symmetry of {len(inputs.index)} materials: {'found' if computed else 'known from before'}")
    results = _perform(inputs, workers, log)
    contents = {name: module.assemble(inputs, results[name]) for name, module in QUESTIONS.items() if module != helping}
    of_combinations = {name: results["probes"][name] for name in inputs.combinations}
    contents["helping"] = helping.assemble(inputs, results["helping"], of_combinations)
    contents |= {"index": _index(inputs), "parameters": parameters.count(inputs, params)}
    run_ids = {name: run.get("run_id") for name, run in inputs.runs.items()}
    for name, content in contents.items():
        write_result(request.out / f"{name}.json", content | {"run_ids": run_ids})
    write_result(latent, perovskites.excerpt(contents["perovskites"]))
    write_result(shapley, helping.excerpt(contents["helping"]))
    with written_whole(request.out / MAPS) as path:
        maps.table(inputs, results["maps"]).write_parquet(path)
    left = f"; {len(inputs.missing)} are missing" if inputs.missing else ""
    log(f"{len(inputs.combinations)} combinations analysed{left}: {request.out}")


def _index(inputs: Inputs) -> dict[str, Any]:
    """Return what was analysed: materials, combinations and where they come from."""
    stores = {name: Store(inputs.request.features / name) for name in modality_names()}
    sides = {side: inputs.split == side for side in SPLITS}
    trained = {
        name: {
            "run_id": run.get("run_id"),
            "hub": run["hub"],
            "seed": run["seed"],
            "seeds": run["seeds"],
            "modalities": inputs.combinations[name].modalities,
        }
        for name, run in inputs.runs.items()
    }
    versions = {key: {run.get(key) for run in inputs.runs.values()} for key in ("data_md5", "git_commit")}
    return {
        "seed": inputs.request.seed,
        **{key: shared.pop() if len(shared) == 1 else None for key, shared in versions.items()},
        "materials": {side: int(rows.sum()) for side, rows in sides.items()},
        "held": {
            side: {name: int(store.present[rows].sum()) for name, store in stores.items()}
            for side, rows in sides.items()
        },
        "combinations": trained | inputs.unavailable,
    }


def _perform(inputs: Inputs, workers: Workers, log: Callable[[str], None]) -> Results:
    """Do all tasks, the longest first, and say when a question is done."""
    todo = [(question, task) for question, module in QUESTIONS.items() for task in module.tasks(inputs)]
    todo.sort(key=lambda item: -item[1].cost)
    left = Counter(question for question, _ in todo)
    results: dict[str, dict[str, Any]] = {question: {} for question in QUESTIONS}
    seconds: dict[str, float] = defaultdict(float)
    finished = workers.map(perform, (task.call for _, task in todo))
    for (question, task), done in zip(todo, finished, strict=True):
        results[question][task.key] = done.result
        seconds[question] += done.seconds
        left[question] -= 1
        if not left[question]:
            log(f"{question}: done, {seconds[question]:.0f} s of one core")
    return results


def _state(request: Request) -> str:
    """Return what tells one pass over the models from the next: a process that lives on must not mix them up."""
    paths = [request.features / INDEX, *sorted(request.metrics.glob("*.json"))]
    return digest(*(np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in paths if path.exists()))


def _require_same_materials(inputs: Inputs) -> None:
    request = inputs.request
    ids = inputs.index["material_id"]
    if not ids.equals(Records(request.records).structures["material_id"]):
        raise UserError(f"{request.records} and {request.features} hold different materials; run the featurize stage")
    for name in inputs.combinations:
        for seed in inputs.seeds(name):
            require_same_materials(inputs.directory(name, seed), request.features)
