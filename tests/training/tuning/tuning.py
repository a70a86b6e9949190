"""Studies of seconds that the tests of tuning share."""

from __future__ import annotations

from typing import Any

from matbind.settings.tune import TuneSettings

SPACE: dict[str, Any] = {
    "model.temperature": {"low": 0.02, "high": 0.2, "log": True},
    "model.projection_dim": {"choices": [64, 128, 256]},
}
DEFAULTS = {"model.temperature": 0.07, "model.projection_dim": 128}


def make_tune(**overrides: Any) -> TuneSettings:
    own: dict[str, Any] = {
        "enabled": True,
        "combination": "crystal+text",
        "trials": 10,
        "epochs": 3,
        "startup_trials": 4,
        "ahead": 2,
        "workers": 0,
        "retries": 1,
        "resume": False,
        "storage": None,
        "confidence": 0.95,
        "pruner": {"startup_trials": 2, "warmup_epochs": 1},
        "space": SPACE,
    }
    return TuneSettings(**(own | overrides))


def made_up_recall(values: dict[str, Any], epoch: int) -> float:
    """Highest at a temperature of 0.05 and 256 dimensions, and rising with the epochs."""
    dimension = {64: -0.1, 128: 0.0, 256: 0.1}[values.get("model.projection_dim", 128)]
    return 0.5 - 2 * abs(values["model.temperature"] - 0.05) + dimension - 0.1 / epoch
