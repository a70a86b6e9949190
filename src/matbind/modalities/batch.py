"""The tensors of one batch: what a transform gives to the encoder of its modality."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import torch


@dataclass(frozen=True)
class Batch:
    """Named tensors of some materials; every modality derives its own from this, beside its transform.

    A field is a tensor, another batch, or a graph of PyTorch Geometric.
    """

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """Return the batch with all its tensors on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{name: value.to(device, non_blocking=non_blocking) for name, value in tensors.items()})
