"""The graph convolutions that the crystal encoder can have: layers of PyTorch Geometric, and one of this project.

A layer takes ``(x, edge_index, edge_attr)``, (n_sites, width), (2, n_edges) and (n_edges, edge_dim), and gives
(n_sites, width). Another is one more line of `CONVOLUTIONS`, and its name in the settings of the encoder.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import CGConv, GATv2Conv, MessagePassing, TransformerConv

from matbind.modalities.crystal.gates import GatedSum


class SplitCGConv(MessagePassing):  # type: ignore[misc]  # the library has no annotations
    """CGConv at less than half its cost: x_i + sum_j sigmoid(W_f [x_i, x_j, e_ij] + b_f) * softplus(W_s [..] + b_s).

    The linear maps of [x_i, x_j, e_ij] are split into one product a site for x_i and x_j and one an edge for e_ij: a
    site has twelve edges. On the CPU compiled loops compute the messages; tensor operations do on a GPU and where edges
    need a gradient. Source: Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018).
    """

    def __init__(self, width: int, edge_dim: int) -> None:
        super().__init__(aggr="add")
        self.site = nn.Linear(width, 4 * width)  # gate and value, as receiver and as neighbour
        self.edge = nn.Linear(edge_dim, 2 * width, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Update sites by their neighbours."""
        site = self.site(x)
        if site.device.type == "cpu" and not edge_attr.requires_grad:
            gated: Tensor = GatedSum.apply(site.float(), self.edge.weight, edge_index, edge_attr)  # type: ignore[no-untyped-call]
            return x + gated
        receiver, sender = site.chunk(2, dim=1)
        messages: Tensor = self.propagate(edge_index, site=(sender, receiver), edge=self.edge(edge_attr), dtype=x.dtype)
        return x + messages

    def message(self, site_i: Tensor, site_j: Tensor, edge: Tensor, dtype: torch.dtype) -> Tensor:
        """Compute the messages, (n_edges, width), in the type of the sites: autocast sums what it multiplied short."""
        gate, value = (edge + site_j + site_i).chunk(2, dim=1)
        return (torch.sigmoid(gate) * F.softplus(value)).to(dtype)


CONVOLUTIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "SplitCGConv": SplitCGConv,
    "CGConv": lambda width, edge_dim: CGConv(width, dim=edge_dim),
    # An edge from a site to itself leads to its periodic image and has a length: no layer may replace it by its own.
    "GATv2Conv": lambda width, edge_dim: GATv2Conv(
        width, width, edge_dim=edge_dim, add_self_loops=False, residual=True
    ),
    "TransformerConv": lambda width, edge_dim: TransformerConv(width, width, edge_dim=edge_dim),
}
"""A layer by its name in the settings, made of the features of a site and of an edge."""
