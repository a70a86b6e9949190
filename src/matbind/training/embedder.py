"""A trained model that embeds: rows of a feature store, or materials as a user gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.modalities.combinations import Combination
from matbind.modalities.material import Material
from matbind.modalities.memory_store import MemoryStore
from matbind.modalities.store import Store
from matbind.modalities.table import part
from matbind.settings.params import Settings
from matbind.training.model import Model

IntArray = npt.NDArray[np.int64]
BATCH = 128
WINDOW = 32 * BATCH  # rows that are sorted by size at a time


class Embedder:
    """Weights, features and views of one combination, in evaluation and in single precision on every machine."""

    def __init__(
        self,
        settings: Settings,
        combination: Combination,
        metas: Mapping[str, Mapping[str, Any]],
        weights: Mapping[str, Tensor],
    ) -> None:
        """Build the model.

        Args:
            settings: those it was trained with.
            combination: which modalities.
            metas: what the feature store of each of them says besides its arrays.
            weights: all parameters and buffers by name.
        """
        self.settings, self.combination, self.metas = settings, combination, metas
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = Model(settings, combination, metas)
        self._model.load_state_dict(dict(weights))
        self._model.to(self._device).eval()
        self._featurizers: dict[str, Any] = {}

    def embed_materials(self, name: str, materials: Sequence[Material]) -> npt.NDArray[np.float32]:
        """Featurize and embed one modality of some materials.

        Returns:
            Unit vectors, shape (len(materials), projection_dim).

        Raises:
            ValueError: if a material's value cannot be featurized.
        """
        module, own = part(name, "features"), self.settings.modalities[name].features
        if name not in self._featurizers:
            self._featurizers[name] = module.Featurizer(own, self.metas[name])
        rows = [self._featurizers[name](material) for material in materials]
        store = MemoryStore(module.specs(own), rows, self.metas[name])
        return self.embed_store(name, store, np.arange(len(materials)))

    def embed_store(self, name: str, store: Store, index: IntArray) -> npt.NDArray[np.float32]:
        """Embed rows of a feature store, shape (len(index), projection_dim)."""
        view = part(name, "transform").Transform(store, self.settings.modalities[name].transform)
        found = np.empty((len(index), self.settings.model.projection_dim), dtype=np.float32)
        with torch.inference_mode():
            for rows in self._batches(name, store, index):
                tensors = {key: tensor.to(self._device) for key, tensor in view(index[rows]).items()}
                found[rows] = self._model.embed(name, tensors).cpu().numpy()
        return found

    def _batches(self, name: str, store: Store, index: IntArray) -> Iterator[IntArray]:
        """Positions in ``index``; materials of one size together, as all of a batch are padded to its largest."""
        specs = part(name, "features").specs(self.settings.modalities[name].features)
        ragged = next((array for array, spec in specs.items() if spec.ragged), None)
        for start in range(0, len(index), WINDOW):
            rows = np.arange(start, min(start + WINDOW, len(index)))
            if ragged is not None:
                rows = rows[np.argsort(store.ragged(ragged, index[rows]).counts, kind="stable")]
            yield from (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))
