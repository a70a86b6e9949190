"""The model: one encoder and one projection head a modality, all into one space."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from matbind import modality
from matbind.encoders.projection import ProjectionHead
from matbind.features.store import Store
from matbind.modality import Combination
from matbind.settings import Settings

BERT_VOCABULARY_SIZE = 30_522  # of BERT-base and of MatBERT
MAX_SCALE = 100.0  # CLIP's bound on the inverse temperature


class Model(nn.Module):
    """Encoders and heads of one combination, and the inverse temperature of each pair it is trained on."""

    def __init__(self, settings: Settings, combination: Combination, metas: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.combination = combination
        self.encoders = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        for name in combination.modalities:
            encoder = importlib.import_module(f"matbind.encoders.{name}").Encoder(
                settings.modalities[name].encoder, metas[name]
            )
            self.encoders[name] = encoder
            self.heads[name] = ProjectionHead(encoder.out_dim, settings.model.projection_dim)
        spokes = combination.spokes or combination.modalities
        start = torch.tensor(math.log(1 / settings.model.temperature))
        self.log_scale = nn.ParameterDict(
            {name: nn.Parameter(start.clone(), requires_grad=settings.model.learn_temperature) for name in spokes}
        )

    def embed(self, name: str, view: dict[str, Tensor]) -> Tensor:
        """Unit vectors in the shared space, shape (n_materials, projection_dim), float32."""
        embedded: Tensor = self.heads[name](self.encoders[name](view))
        return embedded

    def scale(self, spoke: str) -> Tensor:
        """Inverse temperature of the pair of the hub and a spoke."""
        scale: Tensor = self.log_scale[spoke].exp().clamp(max=MAX_SCALE)
        return scale


def n_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def parameter_counts(settings: Settings, *, vocabulary_size: int = BERT_VOCABULARY_SIZE) -> dict[str, int]:
    """Trainable parameters of every encoder and projection head, without data or a checkpoint.

    Args:
        settings: all settings.
        vocabulary_size: of the text encoder; a corpus vocabulary is known only after featurize, BERT's is the default.
    """
    metas: dict[str, dict[str, Any]] = {
        name: block.features.model_dump() for name, block in settings.modalities.items()
    }
    if "text" in metas and metas["text"]["tokenizer"] == "checkpoint":
        metas["text"]["tokenizer"] = "corpus"
    if "text" in metas:
        metas["text"]["vocabulary"] = range(vocabulary_size)
    everything = modality.Combination(tuple(metas), hub=settings.hub_order[0])
    with torch.device("meta"):
        return counts_of(Model(settings, everything, metas))


def counts_of(model: Model) -> dict[str, int]:
    """Trainable parameters of every encoder and projection head of a model."""
    counts = {name: n_parameters(encoder) for name, encoder in model.encoders.items()}
    return counts | {f"{name}.projection": n_parameters(head) for name, head in model.heads.items()}


def open_stores(features: Path) -> dict[str, Store]:
    """The feature stores of all modalities."""
    return {name: Store(features / name) for name in modality.MODALITIES}


def views_of(settings: Settings, stores: Mapping[str, Store], names: tuple[str, ...]) -> dict[str, Any]:
    """The view makers of some modalities."""
    return {
        name: importlib.import_module(f"matbind.views.{name}").View(stores[name], settings.modalities[name].views)
        for name in names
    }
