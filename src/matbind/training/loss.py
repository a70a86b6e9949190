"""Contrastive loss between two modalities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from matbind.training import distributed


def info_nce(hub: Tensor, spoke: Tensor, logit_scale: Tensor) -> Tensor:
    """Compute symmetric InfoNCE: each row of the hub has to find its row of the spoke among all rows, and the reverse.

    Over several ranks the other ranks' rows are negatives too: embeddings are gathered with their gradients, every rank
    computes the loss of its own rows, and the mean of the ranks' losses is the loss of the whole batch.

    Args:
        hub: unit vectors of one modality, shape (n, d).
        spoke: unit vectors of the other, same materials in the same order, shape (n, d).
        logit_scale: inverse temperature, a scalar.

    Returns:
        Mean over the local rows of half the sum of both cross-entropies, times this rank's share of all rows over an
        even share (1 for a single rank); 0 for no rows.

    Source: Mirza et al. 2025, Eq. 1 (with the minus sign that its print lacks); CLIP (Radford et al. 2021), Figure 3.
    """
    all_hub, offset = distributed.gather_rows(hub)
    all_spoke, _ = distributed.gather_rows(spoke)
    if len(hub) == 0:
        return (all_hub.sum() + all_spoke.sum()) * 0.0
    target = torch.arange(len(hub), device=hub.device) + offset
    hub_to_spoke = F.cross_entropy(logit_scale * hub @ all_spoke.T, target)
    spoke_to_hub = F.cross_entropy(logit_scale * spoke @ all_hub.T, target)
    share = len(hub) * distributed.world_size() / len(all_hub)  # so that a rank with fewer rows does not weigh more
    return (hub_to_spoke + spoke_to_hub) / 2 * share
