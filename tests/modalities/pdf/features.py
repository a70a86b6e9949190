"""Pair distribution functions as they are stored: one row of numbers a material."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.modalities.material import Material
from matbind.modalities.store import ArraySpec

from .records import NAME
from .settings import FeaturesSettings


def specs(settings: FeaturesSettings) -> dict[str, ArraySpec]:
    """Return the array of a function."""
    return {"density": ArraySpec("float32", (settings.n_bins,))}


def fit(materials: Iterable[Material], settings: FeaturesSettings) -> dict[str, Any]:
    """Nothing has to be learned."""
    return settings.model_dump()


class Featurizer:
    """Functions to arrays."""

    def __init__(self, settings: FeaturesSettings, meta: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.settings = settings

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the array of a material, None where it has no function."""
        density = material.values.get(NAME)
        return None if density is None else {"density": np.log1p(np.asarray(density, dtype=np.float32))}
