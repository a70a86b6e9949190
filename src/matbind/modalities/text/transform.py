"""Views of texts: padded tokens of a batch; in training whole sentences are dropped and lengths follow the strain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from matbind.base.config import StrictModel
from matbind.modalities.store import Store
from matbind.modalities.strain import Deformation
from matbind.modalities.text.features import LENGTH, PAD


class Settings(StrictModel):
    """Augmentation of texts.

    Attributes:
        drop_sentences: probability with which each sentence but the first is left out.
        drop_tokens: probability with which each token of those sentences is left out; the first sentence names what the
            crystal is made of.
        train_tokens: in training sentences are drawn at random until they hold this many tokens (0: all sentences).
    """

    drop_sentences: float = Field(ge=0, lt=1)
    drop_tokens: float = Field(ge=0, lt=1)
    train_tokens: int = Field(ge=0)


class Transform:
    """Batches of texts from a feature store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.frozen = store.meta["tokenizer"] == "frozen"

    def __call__(
        self,
        index: npt.NDArray[np.int64],
        *,
        rng: np.random.Generator | None = None,
        deformation: Deformation | None = None,
    ) -> dict[str, Tensor]:
        """One view of each material.

        Returns:
            ``token`` (n_materials, longest), ``value`` (angstrom or degree beside lengths and angles), ``mask`` true on
            tokens; or, for a frozen model, ``embedding`` (n_materials, d) with a share of its components dropped in
            training.
        """
        if self.frozen:
            embedding = self.store.dense("embedding", index)
            if rng is not None:
                embedding = embedding * (rng.random(embedding.shape) >= self.settings.drop_tokens)
            return {"embedding": torch.from_numpy(embedding.astype(np.float32))}
        token, counts = self.store.ragged("token", index)
        value = self.store.ragged("value", index).values
        if deformation is not None:
            value = np.where(token == LENGTH, value * np.repeat(deformation.stretch, counts), value)
        material = np.repeat(np.arange(len(index)), counts)
        if rng is not None:
            sentence = self.store.ragged("sentence", index).values
            kept = self.keep(material, sentence, rng)
            token, value, material = token[kept], value[kept], material[kept]
            counts = np.bincount(material, minlength=len(index))
        column = np.arange(len(token)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(index), max(int(counts.max(initial=1)), 1))
        padded, values, mask = np.full(shape, PAD), np.zeros(shape, np.float32), np.zeros(shape, bool)
        padded[material, column], values[material, column], mask[material, column] = token, value, True
        return {
            "token": torch.from_numpy(padded),
            "value": torch.from_numpy(values),
            "mask": torch.from_numpy(mask),
            "composition": torch.from_numpy(self.store.dense("composition", index)),
        }

    def keep(
        self, material: npt.NDArray[np.int64], sentence: npt.NDArray[np.int16], rng: np.random.Generator
    ) -> npt.NDArray[np.bool_]:
        """Which tokens stay: the first sentence, others at random until `train_tokens` is reached, in their order."""
        s = self.settings
        if not len(material):
            return np.zeros(0, bool)
        new = np.r_[True, (material[1:] != material[:-1]) | (sentence[1:] != sentence[:-1])]
        number = np.cumsum(new) - 1  # running number of every token's sentence within the batch
        owner, first = material[new], sentence[new] == 0
        length = np.bincount(number)
        stays = first | (rng.random(len(owner)) >= s.drop_sentences)
        if s.train_tokens:
            order = np.lexsort((np.where(first, -1.0, rng.random(len(owner))), owner))
            lengths = np.where(stays, length, 0)[order]
            total = np.cumsum(lengths)
            starts = np.r_[True, owner[order][1:] != owner[order][:-1]]
            before = (total - lengths)[starts]
            running = total - np.repeat(before, np.diff(np.r_[np.flatnonzero(starts), len(owner)]))
            fits = np.empty(len(owner), bool)
            fits[order] = running - lengths < s.train_tokens
            stays &= fits
        return np.asarray(stays[number] & ((sentence == 0) | (rng.random(len(material)) >= s.drop_tokens)))
