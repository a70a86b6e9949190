"""A trained model that embeds: rows of a feature store, or materials as a user gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.modalities.combinations import Combination
from matbind.modalities.material import Material
from matbind.modalities.store import MemoryStore, Store
from matbind.modalities.table import part
from matbind.settings.params import Settings
from matbind.training.model import Model

IntArray = npt.NDArray[np.int64]
BATCH = 128
WINDOW = 32 * BATCH  # rows that are sorted by size at a time


class Embedder:
    """The trained model of one combination with its features, in single precision on every machine."""

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
        self._weights = weights
        self._models: dict[str, Model] = {}
        self._featurizers: dict[str, Any] = {}

    def featurize(self, name: str, material: Material) -> dict[str, npt.NDArray[Any]]:
        """Make the arrays of one modality of a material.

        Raises:
            ValueError: if the material's value cannot be featurized.
        """
        if name not in self._featurizers:
            settings = self.settings.modalities[name].features
            self._featurizers[name] = part(name, "features").Featurizer(settings, self.metas[name])
        row: dict[str, npt.NDArray[Any]] = self._featurizers[name](material)
        return row

    def encode_rows(
        self, name: str, rows: Sequence[dict[str, npt.NDArray[Any]]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode what :meth:`featurize` gives: the encoder's outputs, and unit vectors of the shared space."""
        specs = part(name, "features").specs(self.settings.modalities[name].features)
        return self._encode(name, MemoryStore(specs, rows, self.metas[name]), np.arange(len(rows)))

    def embed_store(self, name: str, store: Store, index: IntArray) -> npt.NDArray[np.float32]:
        """Embed rows of a feature store, shape (len(index), projection_dim)."""
        return self._encode(name, store, index)[1]

    def _encode(
        self, name: str, store: Store, index: IntArray
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        transform = part(name, "transform").Transform(store, self.settings.modalities[name].transform)
        batches = self._batches(name, store, index)
        if not batches:
            return np.empty((0, 0), np.float32), np.empty((0, self.settings.model.projection_dim), np.float32)
        outputs, embedded = self._model(name).encode_batches(name, (transform(index[rows]) for rows in batches))
        order = np.argsort(np.concatenate(batches))
        return outputs[order], embedded[order]

    def _model(self, name: str) -> Model:
        """Build the part of the model that one modality needs: the libraries of the others are slow to import."""
        if name not in self._models:
            model = Model(self.settings, Combination((name,), name), {name: self.metas[name]})
            parts = (f"encoders.{name}.", f"heads.{name}.")
            missing, _ = model.load_state_dict(
                {k: w for k, w in self._weights.items() if k.startswith(parts)}, strict=False
            )
            if absent := [key for key in missing if key.startswith(parts)]:
                raise ValueError(f"the weights lack {absent[0]}, expected those of {self.combination.name}")
            self._models[name] = model.to("cuda" if torch.cuda.is_available() else "cpu")
        return self._models[name]

    def _batches(self, name: str, store: Store, index: IntArray) -> list[IntArray]:
        """Split the positions in ``index``: materials of one size together, as a batch is padded to its largest."""
        specs = part(name, "features").specs(self.settings.modalities[name].features)
        ragged = next((array for array, spec in specs.items() if spec.ragged), None)
        batches = []
        for start in range(0, len(index), WINDOW):
            rows = np.arange(start, min(start + WINDOW, len(index)))
            if ragged is not None:
                rows = rows[np.argsort(store.ragged(ragged, index[rows]).counts, kind="stable")]
            batches += [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
        return batches
