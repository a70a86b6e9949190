"""Table 1: parameters of every encoder, by preset and as trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from matbind.analysis.inputs import Inputs
from matbind.settings.load import load
from matbind.training.model import open_stores, parameter_counts

PAPER = {"crystal": 1.0e6, "dos": 6.4e6, "pxrd": 5.0e6, "text": 110.0e6}


def count(inputs: Inputs, params: Path) -> dict[str, Any]:
    """Return the content of parameters.json.

    Args:
        inputs: the trained models.
        params: params.yaml; every preset of it is counted.

    Raises:
        UserError: if a preset is not valid.
    """
    presets = yaml.safe_load(params.read_text(encoding="utf-8"))["presets"]
    known = {name: store.meta for name, store in open_stores(inputs.request.features).items()}
    counts = {name: parameter_counts(load(params, preset=name), known=known) for name in presets}
    return {
        "presets": counts,
        "trained": {**inputs.unavailable, **{name: run["n_parameters"] for name, run in inputs.runs.items()}},
        "paper": PAPER,
    }
