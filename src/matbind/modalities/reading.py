"""What the readers of several modalities share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from matbind.materials.structure import FloatArray, Structure
from matbind.modalities.material import Material
from matbind.modalities.table import structure_name

# A query of another modality has no crystal; the features of that modality never look at this one but for its one atom.
_ONE_ATOM = Structure.ordered(np.eye(3) * 10.0, np.zeros((1, 3)), [1])


def query_material(name: str, value: Any) -> Material:
    """Return a query as a material that holds one value; a query of the structure is that structure.

    Args:
        name: of the modality.
        value: as its `query.py` reads it.
    """
    if name == structure_name():
        return Material("query", "", value, "test")
    return Material("query", "", _ONE_ATOM, "test", {name: value})


def json_object(value: str, keys: Sequence[str]) -> dict[str, Any]:
    """Read a JSON object that has these keys.

    Raises:
        ValueError: if it is no JSON object or lacks a key.
    """
    try:
        content = json.loads(value)
    except ValueError as error:
        raise ValueError(f"this is no valid JSON ({error}), expected an object with {', '.join(keys)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"found {type(content).__name__}, expected a JSON object with {', '.join(keys)}")  # noqa: TRY004
    missing = [key for key in keys if content.get(key) is None]
    if missing:
        raise ValueError(f"{missing[0]} is missing, expected a JSON object with {', '.join(keys)}")
    return content


def numbers(values: Any, *, name: str) -> FloatArray:
    """Return a list of finite numbers as an array.

    Raises:
        ValueError: if something else stands in it.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds something that is no number, expected a list of numbers") from error
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions, expected a list of numbers")
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise ValueError(f"{name} holds {bad} values that are not finite, expected numbers only")
    return array


def number(value: Any, *, name: str) -> float:
    """Return one finite number.

    Raises:
        ValueError: if it is something else.
    """
    return float(numbers([value], name=name)[0])
