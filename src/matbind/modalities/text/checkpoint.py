"""A language model on disk, as transformers saves one: a directory of config.json, weights and a tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.errors import UserError

SETTING = "params.yaml: modalities.text.features"


def load_tokenizer(checkpoint: Path | None) -> Any:
    """Load the tokenizer of a checkpoint.

    Raises:
        UserError: if no directory is given, or it holds no tokenizer.
    """
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, "tokenizer", checkpoint)


def load_model(checkpoint: Path | None) -> Any:
    """Load the language model of a checkpoint, without the pooling layer that is trained for a task.

    Raises:
        UserError: if no directory is given, or it does not hold all weights of the model.
    """
    from transformers import AutoModel

    model, report = _load(AutoModel, "model", checkpoint, output_loading_info=True)
    # transformers fills what the file lacks with random numbers and says so in its log only.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise UserError(
            f"{checkpoint}: {len(missing)} weights are missing, such as {missing[0]}, expected all of the model that "
            "config.json describes"
        )
    model.pooler = None
    return model


def width_of(checkpoint: Path | None) -> int:
    """Return the components of a checkpoint's hidden vectors.

    Raises:
        UserError: if no directory is given, or it holds no configuration.
    """
    return int(_config(checkpoint).hidden_size)


def check(checkpoint: Path | None, *, max_tokens: int) -> None:
    """Refuse, before any text is read, a checkpoint that is missing, damaged or made for shorter texts.

    Raises:
        UserError: if it is so.
    """
    load_tokenizer(checkpoint)
    longest = getattr(_config(checkpoint), "max_position_embeddings", max_tokens)
    if longest < max_tokens:
        raise UserError(
            f"{SETTING}.max_tokens is {max_tokens}, expected at most the {longest} tokens that {checkpoint} takes"
        )
    load_model(checkpoint)


class FrozenModel:
    """Embeds texts by a language model that is not trained further.

    Source: Reimers and Gurevych, EMNLP 2019 (mean over the tokens of the last layer, then unit length).
    """

    def __init__(self, checkpoint: Path | None, *, max_tokens: int) -> None:
        """Load tokenizer and weights; texts longer than ``max_tokens`` are cut.

        Raises:
            UserError: if the checkpoint is missing or damaged.
        """
        self._tokenizer = load_tokenizer(checkpoint)
        self._model = load_model(checkpoint).eval()
        self._max_tokens = max_tokens

    def __call__(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Embed texts, shape (n_texts, width of the model), rows of unit length."""
        import torch

        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt")
        with torch.no_grad():
            hidden = self._model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return np.asarray(torch.nn.functional.normalize(mean, dim=1).numpy(), dtype=np.float32)


def _config(checkpoint: Path | None) -> Any:
    from transformers import AutoConfig

    return _load(AutoConfig, "configuration", checkpoint)


def _load(kind: Any, what: str, checkpoint: Path | None, **options: Any) -> Any:
    from safetensors import SafetensorError

    if checkpoint is None or not checkpoint.is_dir():
        raise UserError(
            f"{SETTING}.checkpoint is {str(checkpoint)!r}, expected the directory of a transformers checkpoint"
        )
    try:
        return kind.from_pretrained(checkpoint, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{checkpoint}: no transformers {what} can be read here ({first})") from error
