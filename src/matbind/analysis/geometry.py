"""The shape of every embedding space: alignment, uniformity, modality gap, effective rank, alarm for collapse."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.task import Task
from matbind.evaluation.vectors import describe_space


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination."""
    return [Task(name, partial(space, inputs.request, name)) for name in inputs.combinations]


def space(request: Request, name: str) -> dict[str, Any]:
    """Describe the space of one combination, on the test split."""
    return describe_space(open_inputs(request).test_modalities(name))


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of geometry.json."""
    return {"results": {**inputs.unavailable, **results}}
