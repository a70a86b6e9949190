"""Text encoder: BERT over tokens, trained from scratch or from a checkpoint, or nothing over a frozen embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.base.config import StrictModel, heads_fit
from matbind.materials.formula import ELEMENTS
from matbind.modalities.text.features import ANGLE, FROZEN_DIM, LENGTH

PLAIN_ATTENTION: dict[str, Any] = {"attn_implementation": "eager"}  # on CPUs the fused kernel with a mask is far slower
LOG_LENGTHS = (0.6, 2.2)  # log(1 + angstrom): 0.8 to 8 angstrom
ANGLES_DEG = (0.0, 180.0)


class Settings(StrictModel):
    """Size of the text encoder; a checkpoint brings its own sizes.

    Attributes:
        width: features of a token.
        layers: BERT layers.
        heads: attention heads.
        feedforward: hidden features of each layer's perceptron.
        dropout: in the BERT layers.
        gaussians: number of Gaussians over which a length or angle beside a token is expanded.
        composition: features of the opening formula's atomic fractions, beside BERT's.
    """

    width: int = Field(ge=4, le=4096)
    layers: int = Field(ge=1, le=48)
    heads: int = Field(ge=1, le=64)
    feedforward: int = Field(ge=4)
    dropout: float = Field(ge=0, lt=1)
    gaussians: int = Field(ge=0, le=512)
    composition: int = Field(ge=0, le=4096)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        return heads_fit(self)


class ValueEmbedding(nn.Module):
    """The value beside a token, expanded in Gaussians on the scale of what it measures."""

    def __init__(self, n: int, width: int, *, span: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(*span, n), persistent=False)
        self.gaussian_width = (span[1] - span[0]) / n
        self.linear = nn.Linear(n, width, bias=False)

    def forward(self, value: Tensor) -> Tensor:
        """Map (...) values to (..., width)."""
        expanded = torch.exp(-(((value[..., None] - self.get_buffer("centers")) / self.gaussian_width) ** 2))
        embedded: Tensor = self.linear(expanded)
        return embedded


class Encoder(nn.Module):
    """Texts to vectors."""

    def __init__(self, settings: Settings, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.bert: Any = None
        self.length: ValueEmbedding | None = None
        self.out_dim = FROZEN_DIM
        if meta["tokenizer"] == "frozen":
            return
        from transformers import AutoModel, BertConfig, BertModel

        if meta["tokenizer"] == "checkpoint":
            self.bert = AutoModel.from_pretrained(meta["checkpoint"], local_files_only=True)
            self.bert.pooler = None  # unused: its parameters would only be decayed
        else:
            config = BertConfig(
                vocab_size=len(meta["vocabulary"]),
                hidden_size=settings.width,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                intermediate_size=settings.feedforward,
                hidden_dropout_prob=settings.dropout,
                attention_probs_dropout_prob=0.0,
                max_position_embeddings=meta["max_tokens"],
                **PLAIN_ATTENTION,
            )
            self.bert = BertModel(config, add_pooling_layer=False)
            if settings.gaussians:
                self.length = ValueEmbedding(settings.gaussians, settings.width, span=LOG_LENGTHS)
                self.angle = ValueEmbedding(settings.gaussians, settings.width, span=ANGLES_DEG)
        self.composition_width = settings.composition if meta["tokenizer"] == "corpus" else 0
        if self.composition_width:
            self.composition = nn.Linear(len(ELEMENTS), settings.composition, bias=False)
        self.out_dim = self.bert.config.hidden_size + self.composition_width

    def forward(self, view: dict[str, Tensor]) -> Tensor:
        """Encode the texts of a view (see views/text.py), giving (n_materials, out_dim)."""
        if self.bert is None:
            frozen: Tensor = view["embedding"]
            return frozen
        embedded = self.bert.get_input_embeddings()(view["token"])
        if self.length is not None:
            token, value = view["token"], view["value"]
            embedded = embedded + self.length(torch.log1p(value)) * (token == LENGTH)[..., None]
            embedded = embedded + self.angle(value) * (token == ANGLE)[..., None]
        hidden = self.bert(inputs_embeds=embedded, attention_mask=view["mask"].long()).last_hidden_state
        weight = view["mask"][..., None].to(hidden.dtype)
        read: Tensor = (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        if not self.composition_width:
            return read
        # The square root lifts the minority: TiPt8 has to be told from CuPt7 by a ninth of its atoms.
        mixture = self.composition(view["composition"].sqrt())
        return torch.cat([F.layer_norm(read, read.shape[1:]), F.layer_norm(mixture, mixture.shape[1:])], dim=1)
