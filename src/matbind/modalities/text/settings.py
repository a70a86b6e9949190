"""The settings of texts: how they become numbers, how they are augmented, how large their encoder is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from matbind.base.config import StrictModel
from matbind.modalities.transformer_settings import TransformerSettings


class FeaturesSettings(StrictModel):
    """How text becomes numbers.

    Attributes:
        tokenizer: `corpus`, `checkpoint` or `frozen`; see the module's head.
        checkpoint: directory of the transformers checkpoint (config.json, weights, tokenizer), for all but `corpus`.
        max_tokens: longer texts are cut at this many tokens.
        min_count: a word rarer than this in the training corpus is unknown (`corpus` only).
    """

    tokenizer: Literal["corpus", "checkpoint", "frozen"]
    checkpoint: Path | None
    max_tokens: int = Field(ge=8, le=8192)
    min_count: int = Field(ge=1)


class TransformSettings(StrictModel):
    """Augmentation of texts.

    Attributes:
        drop_sentences: probability with which each sentence but the first is left out.
        drop_tokens: probability with which each token of those sentences is left out; the first sentence names what the
            crystal is made of.
        train_tokens: in training sentences are drawn at random until they hold this many tokens (0: all sentences).
        short: probability with which a text is shortened to what people type: its formula and, of the other words of
            its first sentence, a share that is drawn for every text (tokenizer `corpus` only).
    """

    drop_sentences: float = Field(ge=0, lt=1)
    drop_tokens: float = Field(ge=0, lt=1)
    train_tokens: int = Field(ge=0)
    short: float = Field(ge=0, le=1)


class EncoderSettings(TransformerSettings):
    """Size of the text encoder; a checkpoint brings its own sizes.

    Attributes:
        layers: BERT layers.
        gaussians: number of Gaussians over which a length or angle beside a token is expanded.
        composition: features of the atomic fractions of the formula it is about, beside BERT's.
    """

    layers: int = Field(ge=1, le=48)
    gaussians: int = Field(ge=0, le=512)
    composition: int = Field(ge=0, le=4096)


class ValidationSettings(StrictModel):
    """What a text must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the texts is bad.
        min_characters: fewest characters.
        max_characters: most characters.
        ends_a_sentence: whether a text must end with a full stop; one that does not was cut off.
        max_elements_missing: elements of the formula that a text need not name.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    min_characters: int = Field(ge=1)
    max_characters: int = Field(ge=1)
    ends_a_sentence: bool
    max_elements_missing: int = Field(ge=0)
