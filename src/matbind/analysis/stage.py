"""The analyse stage: all questions, asked side by side, written as JSON and Parquet for figures and page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
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
from matbind.analysis.index import describe
from matbind.analysis.inputs import Inputs, Request
from matbind.analysis.symmetries import write_symmetries
from matbind.analysis.task import Task, perform, write_result
from matbind.base.errors import UserError
from matbind.base.files import written_whole
from matbind.base.ledger import digest
from matbind.base.parallel import SerialPool, Workers
from matbind.data.featurize import INDEX
from matbind.modalities.records import Records
from matbind.training.embeddings import require_same_materials

MAPS = "maps.parquet"
Results = Mapping[str, Mapping[str, Any]]
"""By question and key of the task."""

TASKS: Mapping[str, Callable[[Inputs], list[Task]]] = MappingProxyType(
    {
        "failures": failures.tasks,
        "fused": fused.tasks,
        "gallery": gallery.tasks,
        "geometry": geometry.tasks,
        "helping": helping.tasks,
        "maps": maps.tasks,
        "perovskites": perovskites.tasks,
        "probes": probes.tasks,
        "robustness": robustness.tasks,
    }
)
_ASSEMBLED: Mapping[str, Callable[[Inputs, Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {
        "failures": failures.assemble,
        "fused": fused.assemble,
        "gallery": gallery.assemble,
        "geometry": geometry.assemble,
        "maps": maps.assemble,
        "perovskites": perovskites.assemble,
        "probes": probes.assemble,
        "robustness": robustness.assemble,
    }
)


def analyse(
    request: Request,
    *,
    latent: Path,
    shapley: Path,
    scratch: Path,
    params: Path,
    log: Callable[[str], None],
    workers: Workers | None = None,
) -> None:
    """Answer every question of the trained models; one that the data cannot answer says so in its place.

    Args:
        request: what is asked, of what, and where the answers go; its state is set here.
        latent: the file of the overlaps as metrics.
        shapley: the file of the Shapley values as metrics.
        scratch: keeps what need not be computed again.
        params: params.yaml, for the parameters of every preset.
        log: takes the progress in sentences.
        workers: where the work is done; None for this process alone. The results are the same whoever does it.

    Raises:
        UserError: if no combination was trained, or records, features and models do not belong together.
    """
    pool = workers or SerialPool()
    inputs = Inputs(replace(request, state=_state(request)))
    _require_same_materials(inputs)
    computed = write_symmetries(request.records, out=request.symmetry, scratch=scratch, workers=pool)
    log(f"symmetry of {len(inputs.index)} materials: {'found' if computed else 'known from before'}")
    results = _perform(inputs, pool, log)
    for name, content in _contents(inputs, results, params).items():
        write_result(request.out / f"{name}.json", content | {"run_ids": inputs.run_ids()})
        if name == "perovskites":
            write_result(latent, perovskites.excerpt(content))
        if name == "helping":
            write_result(shapley, helping.excerpt(content))
    with written_whole(request.out / MAPS) as path:
        maps.table(inputs, results["maps"]).write_parquet(path)
    left = f"; {len(inputs.missing)} are missing" if inputs.missing else ""
    log(f"{len(inputs.combinations)} combinations analysed{left}: {request.out}")


def _contents(inputs: Inputs, results: Results, params: Path) -> dict[str, dict[str, Any]]:
    """Return the content of every JSON file by its name."""
    of_combinations = {name: results["probes"][name] for name in inputs.combinations}
    return {
        "index": describe(inputs),
        "parameters": parameters.count(inputs, params),
        "helping": helping.assemble(inputs, results["helping"], of_combinations),
        **{name: assemble(inputs, results[name]) for name, assemble in _ASSEMBLED.items()},
    }


def _perform(inputs: Inputs, workers: Workers, log: Callable[[str], None]) -> Results:
    """Do all tasks, the longest first, and say when a question is done."""
    todo = [(question, task) for question, tasks in TASKS.items() for task in tasks(inputs)]
    todo.sort(key=lambda item: -item[1].cost)
    left = Counter(question for question, _ in todo)
    results: dict[str, dict[str, Any]] = {question: {} for question in TASKS}
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
        require_same_materials(request.models / name, request.features)
