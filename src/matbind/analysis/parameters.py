"""Table 1: parameters of every encoder, by preset and as trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from matbind.analysis.inputs import Inputs
from matbind.features.store import Store
from matbind.model import BERT_VOCABULARY_SIZE, parameter_counts
from matbind.settings import load

PAPER = {"crystal": 1.0e6, "dos": 6.4e6, "pxrd": 5.0e6, "text": 110.0e6}
TEXT = "text"


def count(inputs: Inputs, params: Path) -> dict[str, Any]:
    """The content of parameters.json.

    Args:
        inputs: tell the trained models.
        params: params.yaml; every preset of it is counted.

    Raises:
        UserError: if a preset is not valid.
    """
    presets = yaml.safe_load(params.read_text(encoding="utf-8"))["presets"]
    vocabulary = Store(inputs.request.features / TEXT).meta.get("vocabulary", ())
    counts = {}
    for name in presets:
        settings = load(params, preset=name)
        own = settings.modalities[TEXT].features.tokenizer == "corpus" and vocabulary
        size = len(vocabulary) if own else BERT_VOCABULARY_SIZE
        counts[name] = parameter_counts(settings, vocabulary_size=size)
    return {
        "presets": counts,
        "trained": {**inputs.unavailable, **{name: run["n_parameters"] for name, run in inputs.runs.items()}},
        "paper": PAPER,
    }
