"""Text encoder: BERT over tokens, trained from scratch or from a checkpoint, or nothing over a frozen embedding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.materials.formula import ELEMENTS
from matbind.modalities.layers import masked_mean
from matbind.modalities.text.checkpoint import load_model
from matbind.modalities.text.features import ANGLE, LENGTH
from matbind.modalities.text.settings import EncoderSettings
from matbind.modalities.text.transform import EmbeddingBatch, TokenBatch

PLAIN_ATTENTION: dict[str, Any] = {"attn_implementation": "eager"}  # on CPUs the fused kernel with a mask is far slower
LOG_LENGTHS = (0.6, 2.2)  # log(1 + angstrom): 0.8 to 8 angstrom
ANGLES_DEG = (0.0, 180.0)
N_PARTS = 4  # of a batch, by length: each text is padded to the longest of its part only
WASTE = 2  # places for a token; from here on parts pay


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

    def __init__(self, settings: EncoderSettings, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.bert: Any = None
        self.length: ValueEmbedding | None = None
        if meta["tokenizer"] == "frozen":
            self.out_dim: int = meta["width"]
            return
        from transformers import BertConfig, BertModel

        if meta["tokenizer"] == "checkpoint":
            self.bert = load_model(Path(meta["checkpoint"]))
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

    def forward(self, batch: TokenBatch | EmbeddingBatch) -> Tensor:
        """Encode texts, giving (n_materials, out_dim)."""
        if isinstance(batch, EmbeddingBatch):
            return batch.embedding
        if not len(batch.token):  # BERT takes no empty batch
            return batch.composition.new_zeros(0, self.out_dim)
        length = batch.mask.sum(dim=1)
        order = length.argsort()
        n_parts = N_PARTS if batch.mask.numel() > WASTE * int(length.sum()) else 1
        parts = [self.read(batch, rows, max(int(length[rows[-1]]), 1)) for rows in order.chunk(n_parts)]
        read = torch.cat(parts)[order.argsort()]
        if not self.composition_width:
            return read
        # The square root lifts the minority: TiPt8 has to be told from CuPt7 by a ninth of its atoms.
        mixture = self.composition(batch.composition.sqrt())
        return torch.cat([F.layer_norm(read, read.shape[1:]), F.layer_norm(mixture, mixture.shape[1:])], dim=1)

    def read(self, batch: TokenBatch, rows: Tensor, longest: int) -> Tensor:
        """Read some of the texts, cut to the length of the longest of them, giving (n_rows, width)."""
        token, value, mask = (tensor[rows, :longest] for tensor in (batch.token, batch.value, batch.mask))
        embedded = self.bert.get_input_embeddings()(token)
        if self.length is not None:
            for kind, embedding in ((LENGTH, self.length), (ANGLE, self.angle)):
                place = (token.flatten() == kind).nonzero()[:, 0]
                numbers = value.flatten()[place]
                beside = embedding(torch.log1p(numbers) if kind == LENGTH else numbers)
                embedded = embedded.flatten(0, 1).index_add(0, place, beside.to(embedded.dtype)).view_as(embedded)
        hidden = self.bert(inputs_embeds=embedded, attention_mask=mask.long()).last_hidden_state
        return masked_mean(hidden, mask)
