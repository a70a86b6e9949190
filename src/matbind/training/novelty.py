"""How far a query lies from all that an encoder was trained on.

A model embeds whatever it is given, noise too, and something is always nearest. What it was trained on fills a small
part of what its encoders can say: the Mahalanobis distance there tells noise from what was only measured badly.

Source: Lee et al., NeurIPS 2018 (one Gaussian instead of one a class); directions of little variance share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.files import written_whole

FloatArray = npt.NDArray[np.float32]
MOST_DIRECTIONS = 64
KNOWN = 0.99
"""Share of the worsened validation materials that counts as known."""
_LEAST_SPREAD = 0.05  # of a feature, relative to the mean of all: one that never varied says nothing
_LEAST_VARIANCE = 1e-3  # of a direction of the standardised features


@dataclass(frozen=True, slots=True)
class Novelty:
    """The outputs of one encoder over its training materials, as a Gaussian.

    Attributes:
        mean: shape (d,).
        spread: standard deviation of every feature, shape (d,).
        directions: of the largest variance among the standardised features, shape (d, k).
        variances: along them, shape (k,); of all others together, one number at the end, so shape (k + 1,).
        limit: largest distance that counts as known; 1 is the root mean square of the training materials.
    """

    mean: FloatArray
    spread: FloatArray
    directions: FloatArray
    variances: FloatArray
    limit: float

    def distance(self, outputs: FloatArray) -> FloatArray:
        """Compute the root of the mean squared, standardised distance from the mean, shape (n,)."""
        features = (outputs - self.mean) / self.spread
        along = features @ self.directions
        rest = np.maximum((features**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        square = (along**2 / self.variances[:-1]).sum(axis=1) + rest / self.variances[-1]
        return np.asarray(np.sqrt(square / features.shape[1]), dtype=np.float32)


def fit_novelty(training: FloatArray, validation: FloatArray) -> Novelty:
    """Describe an encoder's outputs, shape (n, d) each, of training materials and, for the limit, of others."""
    mean, spread = training.mean(axis=0), training.std(axis=0)
    spread = np.maximum(spread, max(_LEAST_SPREAD * float(spread.mean()), 1e-6))
    features = ((training - mean) / spread).astype(np.float64)
    variances, directions = np.linalg.eigh(features.T @ features / len(features))
    n_directions = min(MOST_DIRECTIONS, len(variances) - 1)
    rest = float(variances[: len(variances) - n_directions].mean())
    kept = np.r_[variances[-n_directions:], rest] + _LEAST_VARIANCE
    largest = np.ascontiguousarray(directions[:, -n_directions:], dtype=np.float32)
    novelty = Novelty(mean, spread, largest, kept.astype(np.float32), limit=np.inf)
    distances = novelty.distance(validation if len(validation) else training)
    return replace(novelty, limit=float(np.quantile(distances, KNOWN)))


def write_novelty(path: Path, novelties: Mapping[str, Novelty]) -> None:
    """Write what :func:`fit_novelty` made for each modality."""
    from safetensors.numpy import save

    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, novelty in novelties.items():
        arrays |= {f"{name}.{array}": getattr(novelty, array) for array in _ARRAYS}
        arrays[f"{name}.limit"] = np.array([novelty.limit], dtype=np.float32)
    with written_whole(path) as partial:
        partial.write_bytes(save(arrays))


def read_novelty(path: Path) -> dict[str, Novelty]:
    """Read what :func:`write_novelty` wrote."""
    from safetensors.numpy import load_file

    arrays = load_file(path)
    names = [name.removesuffix(".limit") for name in arrays if name.endswith(".limit")]
    return {name: _of(arrays, name) for name in names}


def _of(arrays: Mapping[str, FloatArray], name: str) -> Novelty:
    mean, spread, directions, variances = (arrays[f"{name}.{array}"] for array in _ARRAYS)
    return Novelty(mean, spread, directions, variances, limit=float(arrays[f"{name}.limit"][0]))


_ARRAYS = ("mean", "spread", "directions", "variances")
