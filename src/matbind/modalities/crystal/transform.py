"""Batches of crystals: their graphs end to end, in training with edges strained and sites jittered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from matbind.base.config import StrictModel
from matbind.materials.structure import IntArray
from matbind.modalities.batch import Batch
from matbind.modalities.store import Store
from matbind.modalities.strain import Strain


class Settings(StrictModel):
    """Augmentation of crystals beyond the shared strain.

    Attributes:
        jitter_angstrom: standard deviation of every site's random displacement, each component.
    """

    jitter_angstrom: float = Field(ge=0, le=0.5)


@dataclass(frozen=True)
class LongRangeBatch(Batch):
    """Reduced cells and partial structure factors of crystals, the latter end to end."""

    cell: Tensor  # (n_materials, 3, 3) reduced vectors of the primitive cell, angstrom
    n_primitive_sites: Tensor  # (n_materials,) sites of that cell
    g: Tensor  # (n_peaks,) 1/d, 1/angstrom
    peak_material: Tensor  # (n_peaks,) material of every peak
    partial: Tensor  # (n_partials,) one value for every element pair of every peak
    partial_peak: Tensor  # (n_partials,) peak it belongs to
    partial_pair: Tensor  # (n_partials, 2) its two atomic numbers


@dataclass(frozen=True)
class CrystalBatch(Batch):
    """Crystals as graphs, their sites end to end; a site that several elements share has an entry for every one."""

    element: Tensor  # (n_entries,) atomic number
    occupancy: Tensor  # (n_entries,)
    entry_site: Tensor  # (n_entries,) site it is on
    neighbor: Tensor  # (n_sites, k) positions among all sites
    distance: Tensor  # (n_sites, k) angstrom
    mask: Tensor  # (n_sites, k) true where there is a neighbour
    site_material: Tensor  # (n_sites,) material of every site
    n_sites: Tensor  # (n_materials,)
    long_range: LongRangeBatch  # what reciprocal space tells of them


class Transform:
    """Makes batches of crystals from a feature store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def __call__(
        self, index: IntArray, *, rng: np.random.Generator | None = None, strain: Strain | None = None
    ) -> CrystalBatch:
        """Make the batch of some materials, their sites jittered if `rng` is given."""
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
        if strain is not None:
            vector = np.matmul(vector, strain.gradient[material])
        distance = np.sqrt((vector * vector).sum(axis=-1))
        entry_site = self.store.ragged("site_index", index).values + np.repeat(starts, entry_counts)
        return CrystalBatch(
            element=torch.from_numpy(element.astype(np.int64)),
            occupancy=torch.from_numpy(self.store.ragged("occupancy", index).values),
            entry_site=torch.from_numpy(entry_site),
            neighbor=torch.from_numpy(neighbor.astype(np.int64)),
            distance=torch.from_numpy(distance),
            mask=torch.from_numpy(mask),
            site_material=torch.from_numpy(material),
            n_sites=torch.from_numpy(counts),
            long_range=self.long_range(index, strain),
        )

    def long_range(self, index: IntArray, strain: Strain | None) -> LongRangeBatch:
        """Collect cells and partial structure factors; strain moves the peaks and leaves their values."""
        g_vector, n_peaks = self.store.ragged("g_vector", index)
        pair, n_pairs = self.store.ragged("element_pair", index)
        partial = self.store.ragged("partial", index).values
        peak_material = np.repeat(np.arange(len(index)), n_peaks)
        cell = self.store.dense("cell", index)
        if strain is not None:
            g_vector = np.matmul(g_vector[:, None], strain.inverse[peak_material])[:, 0]
            cell = cell @ strain.gradient
        pairs_of_peak = n_pairs[peak_material]
        first_pair = (np.cumsum(n_pairs) - n_pairs)[peak_material]
        partial_peak = np.repeat(np.arange(len(peak_material)), pairs_of_peak)
        begin = np.cumsum(pairs_of_peak) - pairs_of_peak
        position = np.arange(len(partial)) - begin[partial_peak] + first_pair[partial_peak]
        return LongRangeBatch(
            cell=torch.from_numpy(cell),
            n_primitive_sites=torch.from_numpy(self.store.dense("n_primitive_sites", index)),
            g=torch.from_numpy(np.sqrt((g_vector * g_vector).sum(axis=1))),
            peak_material=torch.from_numpy(peak_material),
            partial=torch.from_numpy(partial),
            partial_peak=torch.from_numpy(partial_peak),
            partial_pair=torch.from_numpy(pair[position].astype(np.int64)),
        )
