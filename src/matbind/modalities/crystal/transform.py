"""Batches of crystals: graphs of PyTorch Geometric, in training with edges strained and sites jittered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.materials.structure import IntArray
from matbind.modalities.batch import Batch
from matbind.modalities.crystal.settings import TransformSettings
from matbind.modalities.store import Store
from matbind.modalities.strain import Strain

if TYPE_CHECKING:
    from torch_geometric.data import Batch as GraphBatch

N_ELEMENTS = 96


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
    """Crystals as graphs, and what reciprocal space tells of them.

    Attributes:
        graph: a `torch_geometric.data.Batch`, one graph a crystal: ``x`` (n_sites, N_ELEMENTS), the occupancy of every
            site by every element; ``edge_index`` (2, n_edges), from the neighbour to the site, sorted by site; an edge
            into a periodic image ends at the site it is the image of, so some begin and end at one site;
            ``edge_attr`` (n_edges, 1), lengths in angstrom; ``batch`` and ``ptr``. :meth:`to` moves it in place.
        long_range: cells and structure factors.
    """

    graph: GraphBatch
    long_range: LongRangeBatch


class Transform:
    """Makes batches of crystals from a feature store."""

    def __init__(self, store: Store, settings: TransformSettings) -> None:
        self.store = store
        self.settings = settings

    def __call__(
        self, index: IntArray, *, rng: np.random.Generator | None = None, strain: Strain | None = None
    ) -> CrystalBatch:
        """Make the batch of some materials, their sites jittered if `rng` is given."""
        neighbor, n_sites = self.store.ragged("neighbor", index)
        vector = self.store.ragged("edge_vector", index).values
        ptr = np.concatenate([[0], np.cumsum(n_sites)])
        material = np.repeat(np.arange(len(index)), n_sites)
        mask = neighbor >= 0
        sender = np.where(mask, neighbor + ptr[material][:, None], 0)
        if rng is not None and self.settings.jitter_angstrom:
            shift = rng.normal(0, self.settings.jitter_angstrom, (len(sender), 3)).astype(np.float32)
            vector = vector + (shift[sender] - shift[:, None]) * mask[..., None]
        if strain is not None:
            vector = np.matmul(vector, strain.gradient[material])
        distance = np.sqrt((vector * vector).sum(axis=-1))
        edge_index = np.stack([sender[mask], np.nonzero(mask)[0]])
        graph = graph_batch(self.occupancies(index, ptr), edge_index, distance[mask][:, None], ptr)
        return CrystalBatch(graph=graph, long_range=self.long_range(index, strain))

    def occupancies(self, index: IntArray, ptr: IntArray) -> npt.NDArray[np.float32]:
        """Collect the occupancy of every site by every element, shape (n_sites, N_ELEMENTS)."""
        element, n_entries = self.store.ragged("atomic_number", index)
        site = self.store.ragged("site_index", index).values + np.repeat(ptr[:-1], n_entries)
        occupancy = np.zeros((ptr[-1], N_ELEMENTS), dtype=np.float32)
        np.add.at(occupancy, (site, element.astype(np.int64) - 1), self.store.ragged("occupancy", index).values)
        return occupancy

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


def graph_batch(
    x: npt.NDArray[np.float32], edge_index: IntArray, edge_attr: npt.NDArray[np.float32], ptr: IntArray
) -> GraphBatch:
    """Make the batch that `Batch.from_data_list` makes of single graphs, without a loop over them.

    Args:
        x: of all nodes, the graphs end to end.
        edge_index: positions among all nodes, sorted by receiver.
        edge_attr: of all edges.
        ptr: first node of every graph, and the number of nodes.
    """
    from torch_geometric.data import Batch as GraphBatch

    nodes = torch.from_numpy(ptr)
    edges = torch.from_numpy(np.searchsorted(edge_index[1], ptr))
    return GraphBatch(
        x=torch.from_numpy(x),
        edge_index=torch.from_numpy(edge_index),
        edge_attr=torch.from_numpy(edge_attr),
        batch=torch.repeat_interleave(nodes.diff()),
        ptr=nodes,
        # By these `batch[i]` and `batch.to_data_list()` take the graphs apart again.
        _slice_dict={"x": nodes, "edge_index": edges, "edge_attr": edges},
        _inc_dict={"x": None, "edge_index": nodes[:-1], "edge_attr": None},
    )
