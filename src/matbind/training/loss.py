"""Contrastive loss between two modalities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from matbind.training import distributed


def info_nce(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE: each row of ``a`` has to find its row of ``b`` among all rows, and the reverse.

    Over several ranks the other ranks' rows are negatives too: embeddings are gathered with their gradients, every rank
    computes the loss of its own rows, and the mean of the ranks' losses is the loss of the whole batch.

    Args:
        a: unit vectors of one modality, shape (n, d).
        b: unit vectors of the other, same materials in the same order, shape (n, d).
        scale: inverse temperature, a scalar.

    Returns:
        Mean over the local rows of half the sum of both cross-entropies, times this rank's share of all rows over an
        even share (1 for a single rank); 0 for no rows.

    Source: Mirza et al. 2025, Eq. 1 (with the minus sign that its print lacks); CLIP (Radford et al. 2021), Figure 3.
    """
    all_a, offset = distributed.gather_rows(a)
    all_b, _ = distributed.gather_rows(b)
    if len(a) == 0:
        return (all_a.sum() + all_b.sum()) * 0.0
    target = torch.arange(len(a), device=a.device) + offset
    a_to_b = F.cross_entropy(scale * a @ all_b.T, target)
    b_to_a = F.cross_entropy(scale * b @ all_a.T, target)
    share = len(a) * distributed.world_size() / len(all_a)  # so that a rank with fewer rows does not weigh more a row
    return (a_to_b + b_to_a) / 2 * share
