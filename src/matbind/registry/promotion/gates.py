"""What a version has to meet before it takes a stage: a whole evaluation, the current test split, no regression."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matbind.base.errors import UserError
from matbind.registry.promotion.candidate import Candidate, Pair
from matbind.registry.registry import EVALUATION_DIGEST, EVALUATION_FILE
from matbind.tracking.record import result_digest

RULE_OF_THREE = 3.0  # all or none of n queries hit: at 95 % the share is off by less than 3 / n
ROUNDING = 1e-9
MOST_PAIRS = 3  # named in a sentence
SHORT = 8


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition and whether it is met.

    Attributes:
        name: evaluation, attached, test_split, comparable, mean, pairs or champion.
        passed: whether it is met.
        says: why, with figures.
    """

    name: str
    passed: bool
    says: str


def own_gates(candidate: Candidate, features: Path) -> list[Gate]:
    """What a version has to meet by itself.

    Args:
        candidate: the version.
        features: the feature stores, which tell the current test split.
    """
    if candidate.problem:
        gates = [Gate("evaluation", False, candidate.problem)]
    else:
        gates = [Gate("evaluation", True, f"its evaluation is whole ({len(candidate.found['pairs'])} pairs)")]
        gates.append(_attached(candidate))
    return [*gates, _on_current_split(candidate, features)]


def regression_gates(candidate: Candidate, champion: Candidate | None) -> list[Gate]:
    """Whether a version is worse than the one in production, by more than chance explains.

    A fall is the recall@1 of the champion less that of the candidate. It is beyond chance if the 95 % interval of the
    difference lies above zero: fall > sqrt(u^2 + l^2), where u is how far the bootstrap interval of the candidate
    reaches above its recall and l how far that of the champion reaches below. This takes the two as independent;
    being asked about the same materials they are not, which makes the true interval narrower: a version is refused
    late rather than wrongly. For the mean of the aligned pairs (of a single: of its views) u and l are the means of
    those of the pairs, the widest that the mean of correlated figures can have. Every pair, emergent ones too, is held
    to the same rule by itself: a mean would hide one that collapsed.

    Args:
        candidate: the version to promote.
        champion: the one in production, None if there is none.

    Returns:
        ``comparable``, and if it is passed ``mean`` and ``pairs``; nothing to compare passes.

    Source: Zou and Donner 2008, Statistics in Medicine 27, 1693: limits of a difference from the limits of both.
    """
    if champion is None:
        return [Gate("comparable", True, "there is no version in production to compare with")]
    if candidate.problem:
        return [Gate("comparable", False, f"without an evaluation it cannot be compared with {_named(champion)}")]
    if problem := _incomparable(candidate, champion):
        return [Gate("comparable", False, f"{problem}, so they cannot be compared")]
    same = Gate("comparable", True, f"it was evaluated on the same test split as {_named(champion)}")
    return [same, _mean(candidate, champion), _pairs(candidate, champion)]


def allowed_fall(new: Sequence[Pair], old: Sequence[Pair]) -> float:
    """How much lower than ``old`` the mean recall@1 of ``new`` may be by chance; see `regression_gates`."""
    above = sum(_reach(pair, 1) for pair in new) / len(new)
    below = sum(_reach(pair, 0) for pair in old) / len(old)
    return math.hypot(above, below)


def _reach(pair: Pair, side: int) -> float:
    """How far the interval reaches from the recall, to its lower (0) or upper (1) end."""
    low, high = pair["recall_at_1_ci95"]
    end = high if side else low
    return float(RULE_OF_THREE / pair["n"] if low == high else abs(end - pair["recall_at_1"]))


def _attached(candidate: Candidate) -> Gate:
    found, told = result_digest(candidate.found), candidate.version.tags.get(EVALUATION_DIGEST, "unknown")
    if found == told:
        return Gate("attached", True, "the evaluation is the one that its tags speak of")
    says = (
        f"its {EVALUATION_FILE} ({found[:SHORT]}) is not the one that its tags speak of ({told[:SHORT]}), register it"
    )
    return Gate("attached", False, f"{says} again")


def _on_current_split(candidate: Candidate, features: Path) -> Gate:
    from matbind.serving.bundle import test_set_digest

    try:
        current = test_set_digest(features)
    except UserError as error:
        return Gate("test_split", False, f"the current test split is not known ({error})")
    if candidate.test_split == current:
        return Gate("test_split", True, f"it was evaluated on the current test split ({current[:SHORT]})")
    return Gate(
        "test_split",
        False,
        f"its evaluation is stale: it was made on the test split {candidate.test_split[:SHORT]}, the current one is "
        f"{current[:SHORT]}; evaluate and register it again",
    )


def _incomparable(candidate: Candidate, champion: Candidate) -> str:
    if champion.problem:
        return f"{_named(champion)} has no evaluation that can be used ({champion.problem})"
    if not _attached(champion).passed:
        return f"the {EVALUATION_FILE} of {_named(champion)} is not the one that its tags speak of"
    if champion.test_split != candidate.test_split:
        means = " and ".join(f"{_mean_recall(each.main):.3f}" for each in (candidate, champion))
        return (
            f"{_named(champion)} was evaluated on another test split ({champion.test_split[:SHORT]}, not "
            f"{candidate.test_split[:SHORT]}; mean {_kind(candidate)} recall@1 {means})"
        )
    for name in sorted({*candidate.found["pairs"], *champion.found["pairs"]}):
        sizes = [each.found["pairs"].get(name, {}).get("n", 0) for each in (candidate, champion)]
        if sizes[0] != sizes[1]:
            return f"{name} was measured on {sizes[0]} materials, of {_named(champion)} on {sizes[1]}"
    return ""


def _mean(candidate: Candidate, champion: Candidate) -> Gate:
    new, old = _mean_recall(candidate.main), _mean_recall(champion.main)
    allowed = allowed_fall([*candidate.main.values()], [*champion.main.values()])
    figures = f"its mean {_kind(candidate)} recall@1 is {new:.3f}, that of {_named(champion)} {old:.3f}"
    passed = old - new <= allowed + ROUNDING
    verdict = f"the intervals of both allow a fall of {allowed:.3f}"
    return Gate(
        "mean", passed, f"{figures}; {verdict}" if passed else f"{figures}, lower by {old - new:.3f}: {verdict}"
    )


def _pairs(candidate: Candidate, champion: Candidate) -> Gate:
    fallen = []
    for name, new in candidate.found["pairs"].items():
        old = champion.found["pairs"][name]
        fall, allowed = old["recall_at_1"] - new["recall_at_1"], allowed_fall([new], [old])
        if fall > allowed + ROUNDING:
            told = f"{name} from {old['recall_at_1']:.3f} to {new['recall_at_1']:.3f} (allowed: {allowed:.3f})"
            fallen.append((fall - allowed, told))
    if not fallen:
        return Gate("pairs", True, f"no pair fell below that of {_named(champion)} by more than its interval")
    worst = [told for _, told in sorted(fallen, reverse=True)]
    more = [f"{len(worst) - MOST_PAIRS} more"] if len(worst) > MOST_PAIRS else []
    return Gate("pairs", False, f"recall@1 fell beyond its interval: {', '.join(worst[:MOST_PAIRS] + more)}")


def _mean_recall(pairs: Mapping[str, Pair]) -> float:
    return sum(float(pair["recall_at_1"]) for pair in pairs.values()) / len(pairs)


def _kind(candidate: Candidate) -> str:
    return "aligned" if "+" in candidate.version.combination else "view"


def _named(champion: Candidate) -> str:
    return f"version {champion.version.number} in production"
