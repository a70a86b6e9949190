"""Crystal encoder: crystal graph convolutions (CGConv) on nearest-neighbour graphs, mean-pooled over sites.

The convolution is that of Xie and Grossman 2018, computed the cheap way: the linear map of [x_i, x_j, e_ij] is split
into one product a site for x_i and x_j and one an edge for e_ij, and with a fixed number of neighbours the sum over
them is a dense sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.base.config import StrictModel
from matbind.modalities.crystal import reciprocal
from matbind.modalities.crystal.transform import CrystalBatch

N_ELEMENTS = 96


class Settings(StrictModel):
    """Size of the crystal encoder.

    Attributes:
        width: features of a site.
        layers: number of convolutions.
        gaussians: number of Gaussians over which an edge length is expanded.
        gaussian_stop_angstrom: centre of the last Gaussian; the first is at 0.
        gaussian_width_angstrom: the expansion is exp(-(d - centre)^2 / width^2).
        branch_dropout: in training a material shows its sites only with this probability, and its reciprocal readout
            only with the same. Each then has to stand for the crystal alone, which carries chemistry over to the
            pattern and the cell over to the text.
        reciprocal: the long-range readout beside the pooled sites; null for none, as in the paper.
    """

    width: int = Field(ge=4, le=4096)
    layers: int = Field(ge=1, le=32)
    gaussians: int = Field(ge=2, le=512)
    gaussian_stop_angstrom: float = Field(gt=0, le=20)
    gaussian_width_angstrom: float = Field(gt=0, le=5)
    reciprocal: reciprocal.Settings | None
    branch_dropout: float = Field(ge=0, lt=0.5)


class CrystalConvolution(nn.Module):
    """One CGConv step: x_i + sum_j sigmoid(W_f [x_i, x_j, e_ij] + b_f) * softplus(W_s [x_i, x_j, e_ij] + b_s)."""

    def __init__(self, width: int, edge_dim: int) -> None:
        super().__init__()
        self.site = nn.Linear(width, 4 * width)  # gate and value, as receiver and as neighbour
        self.edge = nn.Linear(edge_dim, 2 * width, bias=False)

    def forward(self, x: Tensor, neighbor: Tensor, edge: Tensor, mask: Tensor) -> Tensor:
        """Update sites (n, width) by their neighbours (n, k), edges (n, k, edge_dim) and mask (n, k, 1)."""
        receiver, sender = self.site(x).chunk(2, dim=1)
        message = self.edge(edge) + F.embedding(neighbor, sender) + receiver[:, None]
        gate, value = message.chunk(2, dim=2)
        return x + (torch.sigmoid(gate) * F.softplus(value) * mask).sum(dim=1)


class Encoder(nn.Module):
    """Crystals to vectors."""

    def __init__(self, settings: Settings, meta: Mapping[str, Any]) -> None:  # noqa: ARG002
        super().__init__()
        self.width = settings.width
        self.element = nn.Embedding(N_ELEMENTS, settings.width)
        centers = torch.linspace(0, settings.gaussian_stop_angstrom, settings.gaussians)
        self.register_buffer("centers", centers, persistent=False)
        self.gaussian_width_angstrom = settings.gaussian_width_angstrom
        self.convolutions = nn.ModuleList(
            CrystalConvolution(settings.width, settings.gaussians) for _ in range(settings.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(settings.width) for _ in range(settings.layers))
        self.reciprocal = reciprocal.ReciprocalReadout(settings.reciprocal, N_ELEMENTS) if settings.reciprocal else None
        if settings.reciprocal:
            self.composition = nn.Linear(N_ELEMENTS, settings.width, bias=False)
        self.branch_dropout = settings.branch_dropout
        self.out_dim = 2 * settings.width + self.reciprocal.out_dim if self.reciprocal else settings.width

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Encode crystals, giving (n_materials, out_dim)."""
        n_sites = len(batch.site_material)
        entries = self.element(batch.element - 1) * batch.occupancy[:, None]
        x = entries.new_zeros(n_sites, self.width).index_add(0, batch.entry_site, entries)
        centers: Tensor = self.get_buffer("centers")
        edge = torch.exp(-(((batch.distance[..., None] - centers) / self.gaussian_width_angstrom) ** 2))
        mask = batch.mask[..., None].to(x.dtype)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(F.relu(convolution(x, batch.neighbor, edge, mask)))
        count = batch.n_sites[:, None]
        pooled: Tensor = x.new_zeros(len(count), self.width).index_add(0, batch.site_material, x) / count
        if self.reciprocal is None:
            return pooled
        mixture = self.composition(composition(batch).sqrt())
        local = torch.cat([F.layer_norm(pooled, (self.width,)), F.layer_norm(mixture, (self.width,))], dim=1)
        long_range = self.reciprocal(batch.long_range)
        if self.training and self.branch_dropout:
            draw = torch.rand(len(count), 1, device=x.device)
            local = local * (draw >= self.branch_dropout)
            long_range = long_range * (draw < 1 - self.branch_dropout)
        return torch.cat([local, long_range], dim=1)


def composition(batch: CrystalBatch) -> Tensor:
    """Compute the atomic fractions of crystals, shape (n_materials, N_ELEMENTS)."""
    material = batch.site_material[batch.entry_site]
    amounts = batch.occupancy.new_zeros(len(batch.n_sites) * N_ELEMENTS)
    amounts = amounts.index_add(0, material * N_ELEMENTS + batch.element - 1, batch.occupancy).view(-1, N_ELEMENTS)
    return amounts / amounts.sum(dim=1, keepdim=True)
