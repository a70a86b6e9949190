"""The linear baseline's view of a powder pattern: the square root of its bins, so that weak peaks count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.modalities.pxrd.features import binned_pattern

N_BINS = 425  # of 0.2 degrees two theta


def description(value: Any, structure: Any) -> npt.NDArray[np.float32] | None:  # noqa: ARG001  the pattern is enough
    """Bin a pattern, maximum 1; 0 where it was not measured, None where it cannot be used."""
    try:
        return np.nan_to_num(binned_pattern(value.intensity, n_bins=N_BINS))
    except ValueError:
        return None


def inputs(descriptions: Sequence[Any], *, train: npt.NDArray[np.bool_]) -> Any:  # noqa: ARG001  nothing to fit
    """Return the square roots of the intensities, shape (n, 425); negative ones count as 0."""
    return np.sqrt(np.maximum(np.stack(descriptions).astype(np.float64), 0.0))
