"""Pair distribution functions as a fifth modality: its line in the table and its blocks in params.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from matbind.modalities.table import TABLE

NAME = "pdf"
COMBINATIONS = [NAME, f"crystal+{NAME}"]


def add_to_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know the modality until the test ends."""
    monkeypatch.setitem(TABLE, NAME, f"tests.modalities.{NAME}")


def with_fifth(raw: dict[str, Any]) -> dict[str, Any]:
    """params.yaml with the blocks of the fifth modality, and two combinations that hold it."""
    raw["preset"] = "smoke"
    raw["prepare"][NAME] = {"radius_angstrom": [1.0, 7.0], "n_points": 61}
    raw["validate"][NAME] = {"max_quarantined_share": 0.02}
    raw["modalities"][NAME] = {"transform": {"noise": 0.05}}
    for preset in raw["presets"].values():
        preset["modalities"][NAME] = {"features": {"n_bins": 61}, "encoder": {"width": 32}}
    raw["tune"]["combination"] = COMBINATIONS[1]
    raw["ablate"]["combinations"] = COMBINATIONS
    return raw
