"""Studies of seconds that the tests of tuning share."""

from __future__ import annotations

from typing import Any

from matbind.settings.tune import TuneSettings
from matbind.training.tuning.study import Outcome, Study

SPACE: dict[str, Any] = {
    "model.temperature": {"start": 0.07, "low": 0.02, "high": 0.2, "log": True},
    "model.projection_dim": {"start": 128, "choices": [64, 128, 256]},
}
START = {"model.temperature": 0.07, "model.projection_dim": 128}


def make_tune(**overrides: Any) -> TuneSettings:
    values: dict[str, Any] = {
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
    return TuneSettings(**(values | overrides))


def made_up_recall(values: dict[str, Any], epoch: int) -> float:
    """Highest at a temperature of 0.05 and 256 dimensions, and rising with the epochs."""
    dimension = {64: -0.1, 128: 0.0, 256: 0.1}[values.get("model.projection_dim", 128)]
    return 0.5 - 2 * abs(values["model.temperature"] - 0.05) + dimension - 0.1 / epoch


def _side(number: int, values: dict[str, Any], recall: float) -> dict[str, Any]:
    return {
        "number": number,
        "values": values,
        "validation_recall_at_1": recall,
        "validation_pairs": {"crystal->text": recall, "text->crystal": recall},
        "test_recall_at_1": recall - 0.01,
        "test_pairs": {"crystal->text": recall - 0.01, "text->crystal": recall - 0.01},
    }


def made_up_result() -> tuple[Study, dict[str, Any]]:
    """A study of eight trials, one pruned and one failed, and its result."""
    tune = make_tune(trials=8)
    study = Study(tune, seed=0)
    for number in range(8):
        values = study.proposal(number)
        recalls = {epoch: made_up_recall(values, epoch) for epoch in (1, 2, 3)}
        if number == 6:
            study.settle(number, Outcome("failed", reason="the loss is nan"))
        elif number == 5:
            study.settle(number, Outcome("pruned", {1: recalls[1]}))
        else:
            study.settle(number, Outcome("complete", recalls))
    complete = {number: outcome.value for number, outcome in study.outcomes.items() if outcome.state == "complete"}
    best = max(complete, key=complete.__getitem__)
    result = {
        "enabled": True,
        "preset": "smoke",
        "seed": 0,
        "study": "abc",
        "data_md5": "1234.dir",
        "git_commit": "cafe",
        "combination": "crystal+text",
        "epochs": 3,
        "space": {name: parameter.described() for name, parameter in tune.space.items()},
        "choices": {name: parameter.choices for name, parameter in tune.space.items()},
        "n_earlier": 0,
        "n_materials": 40,
        "n_resamples": 100,
        "best": best,
        "chosen": best,
        "gain": {"measured": 0.1, "expected": 0.08, "interval95": [0.02, 0.12], "confidence": 0.99},
        "confidence_required": 0.95,
        "start": _side(0, study.proposal(0), complete[0]),
        "best_trial": _side(best, study.proposal(best), complete[best]),
        "importance": study.importance(),
        "trials": [
            {
                "number": number,
                "state": outcome.state,
                "values": study.proposal(number),
                "recall_at_1": max(outcome.recalls.values(), default=None),
                "recalls": {str(epoch): recall for epoch, recall in outcome.recalls.items()},
                "reason": outcome.reason,
            }
            for number, outcome in study.outcomes.items()
        ],
    }
    return study, result
