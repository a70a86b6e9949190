"""Pair distribution functions as they are stored: one row of numbers a material."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.config import StrictModel
from matbind.modalities.material import Material
from matbind.modalities.store import ArraySpec

from .records import NAME


class Settings(StrictModel):
    """The width of a row: `prepare.pdf.n_points`."""

    n_bins: int


def check_records(settings: Settings, records: Any) -> None:
    """See that the rows are as wide as the records'."""
    if settings.n_bins != records.n_points:
        raise ValueError(f"n_bins is {settings.n_bins}, expected the {records.n_points} of prepare.{NAME}.n_points")


def specs(settings: Settings) -> dict[str, ArraySpec]:
    """Return the array of a function."""
    return {"density": ArraySpec("float32", (settings.n_bins,))}


def fit(materials: Iterable[Material], settings: Settings) -> dict[str, Any]:
    """Nothing has to be learned."""
    return settings.model_dump()


class Featurizer:
    """Functions to arrays."""

    def __init__(self, settings: Settings, meta: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.settings = settings

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the array of a material, None where it has no function."""
        density = material.values.get(NAME)
        return None if density is None else {"density": np.log1p(np.asarray(density, dtype=np.float32))}
