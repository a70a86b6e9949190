"""The pages of a tuning: one of text, one to point at, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.base.files import written_whole
from matbind.report.tuning_plots import draw, write_page
from matbind.training.tuning.result import short, verdict

_DOCUMENT = """# Tuning

{verdict}

{combination}, preset {preset}, {epochs} epochs a trial: {complete} of {n} trials finished, {pruned} were given up by
the pruner, {failed} failed{earlier}. Objective: mean recall@1 of the aligned pairs on the validation split.
Data {data}, code {code}.

## Defaults against the best trial

| | defaults (trial 0) | best (trial {best}) | difference |
|---|---|---|---|
{values}
{recalls}

{judged}

Test was evaluated once, after the choice, with the weights these two trials ended with. Models trained to full length
reach more: the ablation's figures are not these.

## Share of each setting in the spread of recall

{importance}

## Trials

| trial | state | epochs | validation recall@1 |{names}
|---|---|---|---|{rule}
{trials}

Figures: [history.png](history.png), [importance.png](importance.png), [slices.png](slices.png), and to point at in
[tuning.html](tuning.html).
"""


def write_tuning(result: Mapping[str, Any], study: Any, directory: Path) -> list[Path]:
    """Write tuning.md and, if there was a tuning, tuning.html and the figures.

    Args:
        result: content of metrics/tuning.json.
        study: the Optuna study of the same trials; None where tuning is switched off.
        directory: where to write.

    Returns:
        The paths of all files.
    """
    text = directory / "tuning.md"
    with written_whole(text) as partial:
        partial.write_text(document(result), encoding="utf-8")
    if study is None:
        return [text]
    return [text, write_page(result, study, directory / "tuning.html"), *draw(result, study, directory)]


def document(result: Mapping[str, Any]) -> str:
    """Write the page of text.

    Args:
        result: content of metrics/tuning.json.
    """
    if not result["enabled"]:
        return f"# Tuning\n\n{verdict(result)}\n"
    trials, names = result["trials"], list(result["space"])
    states = [trial["state"] for trial in trials]
    return _DOCUMENT.format(
        verdict=verdict(result),
        judged=_judgement(result),
        n=len(trials),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        **{key: result[key] for key in ("combination", "preset", "epochs", "best")},
        earlier=f"; {result['n_earlier']} of earlier studies informed them" if result["n_earlier"] else "",
        data=result["data_md5"] or "unknown",
        code=result["git_commit"] or "unknown",
        values="\n".join(_value_row(result, name) for name in names),
        recalls="\n".join(_recall_rows(result)),
        importance="\n".join(f"- {name}: {share:.2f}" for name, share in result["importance"].items())
        or "Too few trials finished to say.",
        names="".join(f" {name} |" for name in names),
        rule="---|" * len(names),
        trials="\n".join(_trial_row(trial, names, result) for trial in trials),
    )


def _judgement(result: Mapping[str, Any]) -> str:
    """Say how the comparison of the best trial with the defaults was judged."""
    gain = result["gain"]
    if gain is None:
        return "There was nothing to compare."
    low, high = gain["interval95"]
    return (
        f"The best trial was chosen again on {result['n_resamples']} resamples of the {result['n_materials']} "
        "validation materials, and judged on the materials each left out: expected gain "
        f"{gain['expected']:+.4f} (95 % of the resamples from {low:+.4f} to {high:+.4f}), a gain in "
        f"{100 * gain['confidence']:.0f} % of them, where {100 * result['confidence_required']:.0f} % are asked for "
        "(tune.confidence). What another seed of the training would change is not in these figures."
    )


def _value_row(result: Mapping[str, Any], name: str) -> str:
    default = result["defaults"]["values"][name]
    best = result["best_trial"]["values"][name]
    return f"| {name} | {short(default)} | {short(best)} | |"


def _recall_rows(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for split in ("validation", "test"):
        sides = [result[key] for key in ("defaults", "best_trial")]
        rows.append(_row(f"**{split} recall@1, mean**", *(side.get(f"{split}_recall_at_1") for side in sides)))
        pairs = [side.get(f"{split}_pairs") or {} for side in sides]
        rows += [_row(f"{split} {pair}", *(side.get(pair) for side in pairs)) for pair in pairs[1]]
    return rows


def _row(name: str, default: float | None, best: float | None) -> str:
    cells = ["-" if value is None else f"{value:.4f}" for value in (default, best)]
    difference = "" if default is None or best is None else f"{best - default:+.4f}"
    return f"| {name} | {cells[0]} | {cells[1]} | {difference} |"


def _trial_row(trial: Mapping[str, Any], names: list[str], result: Mapping[str, Any]) -> str:
    recall = "-" if trial["recall_at_1"] is None else f"{trial['recall_at_1']:.4f}"
    bold = "**" if trial["number"] == result["chosen"] else ""
    state = trial["state"] if trial["reason"] is None else f"failed: {trial['reason']}"
    values = "".join(f" {short(trial['values'][name])} |" for name in names)
    return f"| {bold}{trial['number']}{bold} | {state} | {len(trial['recalls'])} | {recall} |{values}"
