"""The model card of a registered model: what it is, how well it does, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from matbind.modalities.combinations import Combination
from matbind.serving.bundle import default_key
from matbind.serving.confidence import BINS, PRECISION, Confidence
from matbind.tracking.record import markdown_table

LONGEST = 5000  # characters of a description that MLflow keeps
SPLIT = "Split by reduced formula: no formula is on two sides. The gallery holds all of them:"
SURE = (
    "Probabilities were fitted on validation, to queries worsened as measurements are, with and without elements "
    f"given, half of them of materials taken out of the gallery; from {PRECISION:g} an answer counts as a match. On "
    "the test split, by probability: right, claimed (number); the expected calibration error (ECE); what that is below "
    "in 95 of 100 tests by chance, if every probability is exactly right; and the share of the gallery's own materials "
    "that is found as a match."
)
LIMITS = (
    "For finding candidate materials by another kind of measurement; every hit is to be checked against the "
    "measurement itself. It knows inorganic crystals like those it was trained on. A material that is not in the "
    "gallery cannot be found. A query unlike all of the training is told as such; a DOS of another method has other "
    "gaps."
)
LICENCE = (
    "The data keep the licence of their source: the embedded sample is of the Materials Project, CC BY 4.0, to be "
    "cited as docs/data.md says. The code is MIT."
)


def model_card(
    combination: Combination,
    evaluation: Mapping[str, Any],
    *,
    counts: Mapping[str, Mapping[str, int]],
    confidence: Mapping[str, Confidence],
    preset: str,
    digest: str,
) -> str:
    """Describe a registered model.

    Args:
        combination: its modalities.
        evaluation: content of its metrics file.
        counts: materials of each split that hold each modality, such as ``counts["test"]["dos"]``.
        confidence: the calibration by pair, such as ``pxrd+text->crystal``.
        preset: of the settings it was trained with.
        digest: of all that it was made of.

    Returns:
        Markdown; about 3,000 characters for four modalities.
    """
    task = f"{', '.join(combination.spokes)} were each contrasted with the hub {combination.hub}"
    if combination.is_single:
        task = f"two augmented views of each {combination.hub} were contrasted"
    what = (
        f"Embeds {', '.join(combination.modalities)} of a material in one space and finds the nearest of a gallery; "
        f"{task} (InfoNCE, preset {preset}; after MatBind, Mirza et al. 2025)."
    )
    made = f"DVC md5 `{evaluation.get('data_md5') or 'unknown'}`, code `{evaluation.get('git_commit') or 'unknown'}`"
    parts = [
        f"# matbind {combination.name}",
        what,
        "## Data",
        f"{made}, content `{digest[:16]}`. {SPLIT}",
        markdown_table(["split", *combination.modalities], [[s, *map(str, n.values())] for s, n in counts.items()]),
        "## Retrieval on the test split",
        f"{_trainings(evaluation)} Ties count against the model. Chance is 1/N.",
        markdown_table(["query -> key", "kind", "N", "recall@1", "recall@10", "chance"], _pairs(evaluation)),
        "## When it is sure",
        SURE,
        markdown_table(
            ["query -> key", *(f"{low:g} to {high:g}" for low, high in pairwise(BINS)), "ECE", "by chance", "found"],
            _sure(confidence, default_key(combination)),
        ),
        "## Use and limits",
        LIMITS,
        "## Licence",
        LICENCE,
    ]
    return "\n\n".join(parts)


def _trainings(evaluation: Mapping[str, Any]) -> str:
    """Say what the intervals are over, and which of several trainings the model is."""
    trainings = evaluation["trainings"]
    if len(trainings) == 1:
        seed = evaluation["seed"]
        return f"Recall with its 95 % interval. One training (seed {seed}): the interval is over test materials only."
    validation = ", ".join(f"{t['seed']}: {t['validation_recall_at_1']:.3f}" for t in trainings)
    return (
        f"The model is the training with seed {evaluation['seed']}, the best of {len(trainings)} on the validation "
        f"split (recall@1 by seed {validation}). Recall is the mean of all {len(trainings)}, with its 95 % interval "
        "over trainings and test materials."
    )


def _pairs(evaluation: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, pair in evaluation["pairs"].items():
        low, high = pair["recall_at_1_ci95"]
        recall = f"{pair['recall_at_1']:.3f} [{low:.3f}, {high:.3f}]"
        chance = f"{pair['chance_at_1']:.4f}"
        rows.append([name, pair["kind"], str(pair["n"]), recall, f"{pair['recall_at_10']:.3f}", chance])
    return rows


def _sure(calibrated: Mapping[str, Confidence], key: str) -> list[list[str]]:
    """Single modalities asking the default gallery; of others the file confidence.json tells."""
    rows = []
    for pair, confidence in calibrated.items():
        query, _, asked = pair.partition("->")
        if asked == key and "+" not in query:
            bins = [
                f"{b['right']:.2f}, {b['claimed']:.2f} ({b['n']})" if b["n"] else "-" for b in confidence.reliability
            ]
            error, chance = confidence.expected_calibration_error, confidence.error_by_chance["below95"]
            rows.append([pair, *bins, f"{error:.3f}", f"{chance:.3f}", f"{confidence.accepted['coverage']:.2f}"])
    return rows
