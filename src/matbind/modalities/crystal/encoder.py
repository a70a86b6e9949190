"""Crystal encoder: graph convolutions of PyTorch Geometric on nearest-neighbour graphs, mean-pooled over sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.crystal import reciprocal
from matbind.modalities.crystal.settings import EncoderSettings
from matbind.modalities.crystal.transform import N_ELEMENTS, CrystalBatch

if TYPE_CHECKING:
    from torch_geometric.data import Batch as GraphBatch


class Encoder(nn.Module):
    """Crystals to vectors."""

    def __init__(self, settings: EncoderSettings, meta: Mapping[str, Any]) -> None:  # noqa: ARG002
        # PyTorch Geometric takes seconds to import, which a model without crystals can do without.
        from matbind.modalities.crystal.convolution import CONVOLUTIONS

        super().__init__()
        self.width = settings.width
        self.element = nn.Embedding(N_ELEMENTS, settings.width)
        centers = torch.linspace(0, settings.gaussian_stop_angstrom, settings.gaussians)
        self.register_buffer("centers", centers, persistent=False)
        self.gaussian_width_angstrom = settings.gaussian_width_angstrom
        self.convolutions = nn.ModuleList(
            CONVOLUTIONS[settings.convolution](settings.width, settings.gaussians) for _ in range(settings.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(settings.width) for _ in range(settings.layers))
        self.reciprocal = reciprocal.ReciprocalReadout(settings.reciprocal, N_ELEMENTS) if settings.reciprocal else None
        if settings.reciprocal:
            self.composition = nn.Linear(N_ELEMENTS, settings.width, bias=False)
        # Sites and composition; and the cell they repeat in.
        self.parts = (2 * settings.width, self.reciprocal.out_dim) if self.reciprocal else (settings.width,)
        self.out_dim = sum(self.parts)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Encode crystals, giving (n_materials, out_dim)."""
        from torch_geometric.nn import global_mean_pool

        graph = batch.graph
        with torch.autocast(graph.x.device.type, enabled=False):
            x = graph.x @ self.element.weight
        centers: Tensor = self.get_buffer("centers")
        # Exponentials of less than -80 are denormal numbers, which processors compute a hundred times slower.
        exponent = ((graph.edge_attr - centers) / self.gaussian_width_angstrom).square().clamp(max=80)
        edge_attr = torch.exp(-exponent)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(F.relu(convolution(x, graph.edge_index, edge_attr)))
        pooled: Tensor = global_mean_pool(x, graph.batch, graph.num_graphs)
        if self.reciprocal is None:
            return pooled
        mixture = self.composition(composition(graph).sqrt())
        local = torch.cat([F.layer_norm(pooled, (self.width,)), F.layer_norm(mixture, (self.width,))], dim=1)
        long_range = self.reciprocal(batch.long_range)
        return torch.cat([local, long_range], dim=1)


def composition(graph: GraphBatch) -> Tensor:
    """Compute the atomic fractions of crystals, shape (n_materials, N_ELEMENTS)."""
    from torch_geometric.nn import global_add_pool

    amounts: Tensor = global_add_pool(graph.x, graph.batch, graph.num_graphs)
    return amounts / amounts.sum(dim=1, keepdim=True)
