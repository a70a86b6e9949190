"""Projection head: an encoder's vector to the shared space."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ProjectionHead(nn.Module):
    """LayerNorm, linear map without bias, unit length."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_dim)
        self.linear = nn.Linear(in_dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_dim) to (n, out_dim), each row of unit L2 norm, in float32."""
        return F.normalize(self.linear(self.norm(x)).float(), dim=-1)
