"""What a tuning came to, the content of metrics/tuning.json, in sentences and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict(result: Mapping[str, Any]) -> str:
    """Say in a sentence or two what came of the tuning."""
    if not result["enabled"]:
        return "Tuning is switched off: the settings are those of params.yaml."
    if result["chosen"] == 0:
        if result["best"] == 0:
            return "The start values stay: no trial was better."
        return (
            f"The start values stay: the best trial, {result['best']}, is not better than chance would make the best "
            "of many."
        )
    values = ", ".join(f"{name} = {short(value)}" for name, value in result["best_trial"]["values"].items())
    if result["gain"] is None:
        return f"Trial {result['chosen']} is chosen: {values}. Trial 0, the start, diverged: nothing to compare with."
    return f"Trial {result['chosen']} is better than the start values: {values}."


def comments(result: Mapping[str, Any]) -> list[str]:
    """Say where the values of tuned.yaml come from, one line each."""
    lines = ["Made by the tune stage, which writes it anew; it is laid over params.yaml.", verdict(result)]
    if result["enabled"]:
        length = f"{len(result['trials'])} trials of {result['epochs']} epochs"
        lines.append(f"{result['combination']}, {length}, seed {result['seed']}, study {result['study']}")
        lines.append(f"data {result['data_md5'] or 'unknown'}")
        for key, name in (("start", "start values"), ("best_trial", "best trial")):
            recall = result[key] and result[key]["validation_recall_at_1"]
            if recall is not None:
                lines.append(f"validation recall@1, mean of the aligned pairs, {name}: {recall:.4f}")
    return lines


def figures(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that a tracked run keeps of the tuning, by name."""
    numbers: dict[str, float] = {"best_trial": result["best"], "chosen_trial": result["chosen"]}
    for key in ("start", "best_trial"):
        for measure in ("validation_recall_at_1", "test_recall_at_1"):
            value = (result[key] or {}).get(measure)
            if value is not None:
                numbers[f"{measure}.{key}"] = value
    if result["gain"]:
        numbers |= {f"gain.{name}": result["gain"][name] for name in ("measured", "expected", "confidence")}
    return numbers | {f"importance.{name}": share for name, share in result["importance"].items()}


def short(value: Any) -> str:
    """Write a value for people, a number by four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
