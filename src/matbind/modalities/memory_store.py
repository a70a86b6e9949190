"""The features of a few queries in memory, read as those of a feature store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.modalities.store import ArraySpec, Store


class MemoryStore(Store):
    """A store that was never on disk, of materials that are given one by one."""

    def __init__(
        self, specs: Mapping[str, ArraySpec], rows: Sequence[Mapping[str, npt.NDArray[Any]]], meta: Mapping[str, Any]
    ) -> None:
        """Take the arrays of some materials.

        Args:
            specs: the arrays by name.
            rows: one mapping of arrays a material.
            meta: what the store of the data set says besides.
        """
        self.n_materials = len(rows)
        self.meta = dict(meta)
        self.present = np.ones(len(rows), dtype=bool)
        self._arrays, self._offsets = {}, {}
        for name, spec in specs.items():
            parts = [np.asarray(row[name], dtype=spec.dtype) for row in rows]
            if spec.ragged:
                self._arrays[name] = np.concatenate([part.reshape(-1, *spec.row_shape) for part in parts])
                self._offsets[name] = np.cumsum([0, *(len(part) for part in parts)])
            else:
                self._arrays[name] = np.stack(parts)
