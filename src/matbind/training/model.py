"""The model: one encoder and one projection head a modality, all into one space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from matbind.modalities.batch import Batch
from matbind.modalities.combinations import Combination
from matbind.modalities.layers import PartwiseHead, ProjectionHead, blocks
from matbind.modalities.store import Store
from matbind.modalities.table import modality_names, part
from matbind.settings.params import Settings

MAX_LOGIT_SCALE = 100.0  # CLIP's bound on the inverse temperature


class Model(nn.Module):
    """Encoders and heads of one combination, and the inverse temperature of each pair it is trained on."""

    def __init__(self, settings: Settings, combination: Combination, metas: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.combination = combination
        self.encoders = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        for name in combination.modalities:
            encoder = part(name, "encoder").Encoder(settings.modalities[name].encoder, metas[name])
            self.encoders[name] = encoder
            parts = getattr(encoder, "parts", (encoder.out_dim,))
            head = PartwiseHead(parts, settings.model.projection_dim) if len(parts) > 1 else None
            self.heads[name] = head or ProjectionHead(encoder.out_dim, settings.model.projection_dim)
        spokes = combination.spokes or combination.modalities
        start = math.log(1 / settings.model.temperature)
        learned = settings.model.learn_temperature

        def scales(*shape: int) -> nn.ParameterDict:
            return nn.ParameterDict({s: nn.Parameter(torch.full(shape, start), requires_grad=learned) for s in spokes})

        self.log_scale = scales()
        hub = self.heads[combination.hub]
        self.hub_blocks: list[int] = []
        if settings.model.hub_part_weight and combination.spokes and isinstance(hub, PartwiseHead):
            self.hub_blocks = blocks(settings.model.projection_dim, len(hub.parts))
            self.part_log_scale = scales(len(hub.parts))

    def embed(self, name: str, batch: Batch) -> Tensor:
        """Embed a batch of one modality as unit vectors of the shared space, (n_materials, projection_dim), float32."""
        return self.heads[name](self.encoders[name](batch))  # type: ignore[no-any-return]

    def embed_batches(self, name: str, batches: Iterable[Batch]) -> npt.NDArray[np.float32]:
        """Embed one batch after another for evaluation, shape (n_materials of all, projection_dim)."""
        return self.encode_batches(name, batches)[1]

    def encode_batches(
        self, name: str, batches: Iterable[Batch]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode batches for evaluation: the encoder's outputs, (n_materials, out_dim), and their embeddings."""
        self.eval()
        device = next(self.parameters()).device
        outputs, embedded = [], []
        with torch.no_grad():
            for batch in batches:
                output = self.encoders[name](batch.to(device))
                outputs.append(output.float().cpu().numpy())
                embedded.append(self.heads[name](output).cpu().numpy())
        return np.concatenate(outputs), np.concatenate(embedded)

    def logit_scale(self, spoke: str) -> Tensor:
        """Return the inverse temperature of the pair of the hub and a spoke."""
        log_scale: Tensor = self.log_scale[spoke]
        return log_scale.exp().clamp(max=MAX_LOGIT_SCALE)

    def part_logit_scales(self, spoke: str) -> Tensor:
        """Return the inverse temperature of each part of the hub with a spoke, shape (n_parts,)."""
        log_scale: Tensor = self.part_log_scale[spoke]
        return log_scale.exp().clamp(max=MAX_LOGIT_SCALE)


def n_parameters(module: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def parameter_counts(
    settings: Settings, *, known: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> dict[str, int]:
    """Count the trainable parameters of every encoder and projection head, without a checkpoint.

    Args:
        settings: all settings.
        known: what feature stores of these modalities say besides their arrays, where there are any.
    """
    metas = {}
    for name, block in settings.modalities.items():
        features = part(name, "features")
        nominal = getattr(features, "nominal_meta", None)
        metas[name] = nominal(block.features, known.get(name, {})) if nominal else features.fit((), block.features)
    everything = Combination(tuple(metas), hub=settings.hub_order[0])
    with torch.device("meta"):
        return counts_of(Model(settings, everything, metas))


def counts_of(model: Model) -> dict[str, int]:
    """Count the trainable parameters of every encoder and projection head of a model."""
    counts = {name: n_parameters(encoder) for name, encoder in model.encoders.items()}
    return counts | {f"{name}.projection": n_parameters(head) for name, head in model.heads.items()}


def open_stores(features: Path) -> dict[str, Store]:
    """Open the feature stores of all modalities."""
    return {name: Store(features / name) for name in modality_names()}
