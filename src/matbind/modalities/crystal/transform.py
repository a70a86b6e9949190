"""Views of crystals: the graphs of a batch end to end, edges strained and sites jittered in training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from matbind.base.config import StrictModel
from matbind.modalities.store import Store
from matbind.modalities.strain import Deformation


class Settings(StrictModel):
    """Augmentation of crystals beyond the shared strain.

    Attributes:
        jitter_angstrom: standard deviation of every site's random displacement, each component.
    """

    jitter_angstrom: float = Field(ge=0, le=0.5)


class Transform:
    """Batches of crystals from a feature store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def __call__(
        self,
        index: npt.NDArray[np.int64],
        *,
        rng: np.random.Generator | None = None,
        deformation: Deformation | None = None,
    ) -> dict[str, Tensor]:
        """One view of each material.

        Args:
            index: positions in the data set, shape (n_materials,).
            rng: augments if given; without it the view is the crystal as it is.
            deformation: strain of each material.

        Returns:
            Sites of all materials end to end: ``element`` and ``occupancy`` of every species entry and the
            ``entry_site`` it is on, ``neighbor`` (n_sites, k) as positions among all sites, ``distance`` (n_sites, k)
            in angstrom, ``mask`` (n_sites, k) true where there is a neighbour, ``site_material`` (n_sites,),
            ``n_sites`` (n_materials,).
        """
        neighbor, counts = self.store.ragged("neighbor", index)
        vector = self.store.ragged("edge_vector", index).values
        element, entry_counts = self.store.ragged("atomic_number", index)
        starts = np.cumsum(counts) - counts
        material = np.repeat(np.arange(len(index)), counts)
        mask = neighbor >= 0
        neighbor = np.where(mask, neighbor + starts[material][:, None], 0)
        if rng is not None and self.settings.jitter_angstrom:
            shift = rng.normal(0, self.settings.jitter_angstrom, (len(neighbor), 3)).astype(np.float32)
            vector = vector + (shift[neighbor] - shift[:, None]) * mask[..., None]
        if deformation is not None:
            vector = np.matmul(vector, deformation.gradient[material])
        distance = np.sqrt((vector * vector).sum(axis=-1))
        entry_site = self.store.ragged("site_index", index).values + np.repeat(starts, entry_counts)
        return {
            **self.long_range(index, deformation),
            "element": torch.from_numpy(element.astype(np.int64)),
            "occupancy": torch.from_numpy(self.store.ragged("occupancy", index).values),
            "entry_site": torch.from_numpy(entry_site),
            "neighbor": torch.from_numpy(neighbor.astype(np.int64)),
            "distance": torch.from_numpy(distance),
            "mask": torch.from_numpy(mask),
            "site_material": torch.from_numpy(material),
            "n_sites": torch.from_numpy(counts),
        }

    def long_range(self, index: npt.NDArray[np.int64], deformation: Deformation | None) -> dict[str, Tensor]:
        """Partial structure factors: strain moves their peaks and leaves their values.

        Returns:
            ``cell`` (n_materials, 3, 3) reduced vectors in angstrom, ``n_primitive_sites`` (n_materials,);
            ``g`` (n_peaks,) 1/d in 1/angstrom and ``peak_material``; and end to end for every element pair of every
            peak ``partial``, the ``partial_peak`` it belongs to, and its two elements ``partial_pair`` (n, 2).
        """
        g_vector, n_peaks = self.store.ragged("g_vector", index)
        pair, n_pairs = self.store.ragged("element_pair", index)
        partial = self.store.ragged("partial", index).values
        peak_material = np.repeat(np.arange(len(index)), n_peaks)
        if deformation is not None:
            g_vector = np.matmul(g_vector[:, None], deformation.inverse[peak_material])[:, 0]
        pairs_of_peak = n_pairs[peak_material]
        first_pair = (np.cumsum(n_pairs) - n_pairs)[peak_material]
        partial_peak = np.repeat(np.arange(len(peak_material)), pairs_of_peak)
        begin = np.cumsum(pairs_of_peak) - pairs_of_peak
        position = np.arange(len(partial)) - begin[partial_peak] + first_pair[partial_peak]
        cell = self.store.dense("cell", index)
        return {
            "cell": torch.from_numpy(cell if deformation is None else cell @ deformation.gradient),
            "n_primitive_sites": torch.from_numpy(self.store.dense("n_primitive_sites", index)),
            "g": torch.from_numpy(np.sqrt((g_vector * g_vector).sum(axis=1))),
            "peak_material": torch.from_numpy(peak_material),
            "partial": torch.from_numpy(partial),
            "partial_peak": torch.from_numpy(partial_peak),
            "partial_pair": torch.from_numpy(pair[position].astype(np.int64)),
        }
