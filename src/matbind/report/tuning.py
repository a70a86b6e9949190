"""What a tuning found, as metrics/tuning.json, as a page of text, and in the comments of tuned.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matbind.settings.tune import Parameter
from matbind.training.tuning.space import described

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


def verdict(found: Mapping[str, Any]) -> str:
    """What came of the tuning, in one sentence or two."""
    if not found["enabled"]:
        return "Tuning is switched off: the settings are those of params.yaml."
    if found["chosen"] == 0:
        if found["best"] == 0:
            return "The defaults stay: no trial was better than they are."
        return (
            f"The defaults stay: the best trial, {found['best']}, is not better than chance would make the best of "
            "many."
        )
    values = ", ".join(f"{name} = {short(value)}" for name, value in found["best_trial"]["values"].items())
    if found["gain"] is None:
        return f"Trial {found['chosen']} is chosen: {values}. The defaults diverged, there is nothing to compare with."
    return f"Trial {found['chosen']} is better than the defaults: {values}."


def judgement(found: Mapping[str, Any]) -> str:
    """How the comparison of the best trial with the defaults was judged."""
    gain = found["gain"]
    if gain is None:
        return "There was nothing to compare."
    low, high = gain["interval95"]
    return (
        f"The best trial was chosen again on {found['n_resamples']} resamples of the {found['n_materials']} validation "
        f"materials, and judged on the materials each left out: expected gain {gain['expected']:+.4f} (95 % of the "
        f"resamples from {low:+.4f} to {high:+.4f}), a gain in {100 * gain['confidence']:.0f} % of them, where "
        f"{100 * found['confidence_required']:.0f} % are asked for (tune.confidence). What another seed of the "
        "training would change is not in these figures."
    )


def document(found: Mapping[str, Any]) -> str:
    """The page of text."""
    if not found["enabled"]:
        return f"# Tuning\n\n{verdict(found)}\n"
    trials, names = found["trials"], list(found["space"])
    states = [trial["state"] for trial in trials]
    return _DOCUMENT.format(
        verdict=verdict(found),
        judged=judgement(found),
        n=len(trials),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        **{key: found[key] for key in ("combination", "preset", "epochs", "best")},
        earlier=f"; {found['n_earlier']} of earlier studies informed them" if found["n_earlier"] else "",
        data=found["data_md5"] or "unknown",
        code=found["git_commit"] or "unknown",
        values="\n".join(_value_row(found, name) for name in names),
        recalls="\n".join(_recall_rows(found)),
        importance="\n".join(f"- {name}: {share:.2f}" for name, share in found["importance"].items())
        or "Too few trials finished to say.",
        names="".join(f" {name} |" for name in names),
        rule="---|" * len(names),
        trials="\n".join(_trial_row(trial, names, found) for trial in trials),
    )


def comments(found: Mapping[str, Any]) -> list[str]:
    """Where the values of tuned.yaml come from, one line each."""
    lines = ["Made by the tune stage, which writes it anew; it is laid over params.yaml.", verdict(found)]
    if found["enabled"]:
        length = f"{len(found['trials'])} trials of {found['epochs']} epochs"
        lines.append(f"{found['combination']}, {length}, seed {found['seed']}, study {found['study']}")
        lines.append(f"data {found['data_md5'] or 'unknown'}")
        for key, name in (("defaults", "defaults"), ("best_trial", "best trial")):
            recall = found[key] and found[key]["validation_recall_at_1"]
            if recall is not None:
                lines.append(f"validation recall@1, mean of the aligned pairs, {name}: {recall:.4f}")
    return lines


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """What a tracked run says of the tuning in numbers."""
    told: dict[str, float] = {"best_trial": found["best"], "chosen_trial": found["chosen"]}
    for key in ("defaults", "best_trial"):
        for measure in ("validation_recall_at_1", "test_recall_at_1"):
            value = (found[key] or {}).get(measure)
            if value is not None:
                told[f"{measure}.{key}"] = value
    if found["gain"]:
        told |= {f"gain.{name}": found["gain"][name] for name in ("measured", "expected", "confidence")}
    return told | {f"importance.{name}": share for name, share in found["importance"].items()}


def short(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def space_in_words(space: Mapping[str, Parameter]) -> dict[str, str]:
    """The space, one phrase a setting."""
    return {name: described(parameter) for name, parameter in space.items()}


def _value_row(found: Mapping[str, Any], name: str) -> str:
    default = found["defaults"]["values"][name]
    best = found["best_trial"]["values"][name]
    return f"| {name} | {short(default)} | {short(best)} | |"


def _recall_rows(found: Mapping[str, Any]) -> list[str]:
    rows = []
    for split in ("validation", "test"):
        sides = [found[key] for key in ("defaults", "best_trial")]
        rows.append(_row(f"**{split} recall@1, mean**", *(side.get(f"{split}_recall_at_1") for side in sides)))
        pairs = [side.get(f"{split}_pairs") or {} for side in sides]
        rows += [_row(f"{split} {pair}", *(each.get(pair) for each in pairs)) for pair in pairs[1]]
    return rows


def _row(name: str, default: float | None, best: float | None) -> str:
    told = ["-" if value is None else f"{value:.4f}" for value in (default, best)]
    difference = "" if default is None or best is None else f"{best - default:+.4f}"
    return f"| {name} | {told[0]} | {told[1]} | {difference} |"


def _trial_row(trial: Mapping[str, Any], names: list[str], found: Mapping[str, Any]) -> str:
    recall = "-" if trial["recall_at_1"] is None else f"{trial['recall_at_1']:.4f}"
    bold = "**" if trial["number"] == found["chosen"] else ""
    state = trial["state"] if trial["reason"] is None else f"failed: {trial['reason']}"
    values = "".join(f" {short(trial['values'][name])} |" for name in names)
    return f"| {bold}{trial['number']}{bold} | {state} | {len(trial['recalls'])} | {recall} |{values}"
