"""Batches of texts: padded tokens; in training whole sentences are dropped and lengths follow the strain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.materials.structure import IntArray
from matbind.modalities.batch import Batch
from matbind.modalities.store import Store
from matbind.modalities.strain import Strain
from matbind.modalities.text.features import LENGTH, PAD
from matbind.modalities.text.settings import TransformSettings


@dataclass(frozen=True)
class TokenBatch(Batch):
    """Tokens of texts, padded to the longest."""

    token: Tensor  # (n_materials, longest) number of the word
    value: Tensor  # (n_materials, longest) angstrom beside a length, degree beside an angle, else 0
    mask: Tensor  # (n_materials, longest) true on tokens
    composition: Tensor  # (n_materials, n_elements) atomic fractions of its formula


@dataclass(frozen=True)
class EmbeddingBatch(Batch):
    """Sentence embeddings of a frozen model."""

    embedding: Tensor  # (n_materials, d), in training with a share of the components dropped


class Transform:
    """Makes batches of texts from a feature store."""

    def __init__(self, store: Store, settings: TransformSettings) -> None:
        self.store = store
        self.settings = settings
        self.frozen = store.meta["tokenizer"] == "frozen"
        self.short = settings.short if store.meta["tokenizer"] == "corpus" else 0.0  # pieces are no words

    def __call__(
        self, index: IntArray, *, rng: np.random.Generator | None = None, strain: Strain | None = None
    ) -> TokenBatch | EmbeddingBatch:
        """Make the batch of some materials, augmented if `rng` is given."""
        if self.frozen:
            embedding = self.store.dense("embedding", index)
            if rng is not None:
                embedding = embedding * (rng.random(embedding.shape) >= self.settings.drop_tokens)
            return EmbeddingBatch(torch.from_numpy(embedding.astype(np.float32)))
        token, counts = self.store.ragged("token", index)
        value = self.store.ragged("value", index).values
        if strain is not None:
            value = np.where(token == LENGTH, value * np.repeat(strain.stretch, counts), value)
        material = np.repeat(np.arange(len(index)), counts)
        if rng is not None:
            sentence = self.store.ragged("sentence", index).values
            n_elements = np.count_nonzero(self.store.dense("composition", index), axis=1)
            kept = np.where(
                (rng.random(len(index)) < self.short)[material],
                keep_short(material, sentence, n_elements, rng),
                self.keep(material, sentence, rng),
            )
            token, value, material = token[kept], value[kept], material[kept]
            counts = np.bincount(material, minlength=len(index))
        column = np.arange(len(token)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(index), max(int(counts.max(initial=1)), 1))
        padded, values, mask = np.full(shape, PAD), np.zeros(shape, np.float32), np.zeros(shape, bool)
        padded[material, column], values[material, column], mask[material, column] = token, value, True
        return TokenBatch(
            token=torch.from_numpy(padded),
            value=torch.from_numpy(values),
            mask=torch.from_numpy(mask),
            composition=torch.from_numpy(self.store.dense("composition", index)),
        )

    def keep(
        self, material: IntArray, sentence: npt.NDArray[np.int16], rng: np.random.Generator
    ) -> npt.NDArray[np.bool_]:
        """Draw which tokens stay: the first sentence, and other sentences at random up to `train_tokens`."""
        if not len(material):
            return np.zeros(0, bool)
        new = np.r_[True, (material[1:] != material[:-1]) | (sentence[1:] != sentence[:-1])]
        number = np.cumsum(new) - 1  # running number of every token's sentence within the batch
        sentence_material, first = material[new], sentence[new] == 0
        length = np.bincount(number)
        stays = first | (rng.random(len(sentence_material)) >= self.settings.drop_sentences)
        if self.settings.train_tokens:
            order = np.lexsort((np.where(first, -1.0, rng.random(len(sentence_material))), sentence_material))
            lengths = np.where(stays, length, 0)[order]
            total = np.cumsum(lengths)
            starts = np.r_[True, sentence_material[order][1:] != sentence_material[order][:-1]]
            before = (total - lengths)[starts]
            running = total - np.repeat(before, np.diff(np.r_[np.flatnonzero(starts), len(sentence_material)]))
            fits = np.empty(len(sentence_material), bool)
            fits[order] = running - lengths < self.settings.train_tokens
            stays &= fits
        return np.asarray(stays[number] & ((sentence == 0) | (rng.random(len(material)) >= self.settings.drop_tokens)))


def keep_short(
    material: IntArray, sentence: npt.NDArray[np.int16], n_elements: IntArray, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Draw which tokens stay of texts as people type them.

    Args:
        material: of every token.
        sentence: of every token, from 0.
        n_elements: of every material; as many words at the beginning of a text are its formula and stay.
        rng: of the draw.

    Returns:
        Shape of `material`; of the words of the first sentence that follow the formula a share, drawn for every text.
    """
    counts = np.bincount(material, minlength=len(n_elements))
    position = np.arange(len(material)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = rng.random(len(n_elements))[material]
    is_formula = position < np.maximum(n_elements, 1)[material]
    return np.asarray(is_formula | ((sentence == 0) & (rng.random(len(material)) < share)))
