"""The shape of every embedding space: alignment, uniformity, modality gap, effective rank, alarm for collapse."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.task import Task, mean_of
from matbind.evaluation.vectors import describe_space


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination."""
    return [Task(name, partial(space, inputs.request, name)) for name in inputs.combinations]


def space(request: Request, name: str) -> dict[str, Any]:
    """Describe the space of one combination, on the test split: means over its trainings, and all alarms."""
    inputs = open_inputs(request)
    seeds = inputs.seeds(name)
    spaces = [describe_space(inputs.test_modalities(name, seed)) for seed in seeds]
    space: dict[str, Any] = mean_of(spaces)
    for modality, described in space["modalities"].items():
        alarms = [of["modalities"][modality]["alarm"] for of in spaces]
        several = [f"seed {seed}: {alarm}" for seed, of in zip(seeds, alarms, strict=True) for alarm in of]
        described["alarm"] = several if len(seeds) > 1 else alarms[0]
    return space


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of geometry.json."""
    return {"results": {**inputs.unavailable, **results}}
