"""What a version has to meet before it takes a stage: a whole evaluation, the current test split, no regression."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.modalities.combinations import Combination, pair_name
from matbind.registry.registry import EVALUATION_DIGEST, EVALUATION_FILE, Registry, Version
from matbind.tracking.record import KINDS, result_digest, summarise

FEWEST = 2  # materials: below it there is nothing to confuse a key with
RULE_OF_THREE = 3.0  # all or none of n queries hit: at 95 % the share is off by less than 3 / n
ROUNDING = 1e-9
MOST_PAIRS = 3  # named in a sentence
STRONG = 0.5  # a mean recall of the linear baseline from which on it is enough to be as good
SHORT = 8

Pair = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition and whether it is met."""

    name: str  # evaluation, attached, test_split, floor, comparable, mean, pairs or champion
    passed: bool
    says: str  # why, with figures


class Candidate:
    """A version of a registered model with the evaluation that it is judged by.

    Attributes:
        version: of a registered model.
        evaluation: what it was registered with, empty if that cannot be used.
        problem: why it cannot be used, empty if it can.
        kind: of the pairs it was trained for: aligned, of a single view.
        title: what a sentence calls it once it is in production.
        test_split: digest of the test split it was evaluated on.
        differs: how the evaluation differs from the one that the tags speak of; empty if it is that one.
    """

    def __init__(self, version: Version, evaluation: Any, problem: str = "") -> None:
        """Take what is attached to a version as its evaluation, whatever that is."""
        self.version, self.problem = version, problem or _problem(version, evaluation)
        self.evaluation: Mapping[str, Any] = {} if self.problem else evaluation
        self.kind = "aligned" if "+" in version.combination else "view"
        self.title = f"version {version.number} in production"
        self.test_split = version.tags.get("test_set_digest", "unknown")
        digest, tagged = result_digest(self.evaluation), version.tags.get(EVALUATION_DIGEST, "unknown")
        says = f"{EVALUATION_FILE} ({digest[:SHORT]}) is not the one that its tags speak of ({tagged[:SHORT]})"
        self.differs = says if digest != tagged else ""

    @classmethod
    def read(cls, registry: Registry, version: Version) -> Candidate:
        """Read a version with its evaluation; one that is missing or not whole is a problem, and no error."""
        try:
            return cls(version, registry.evaluation(version))
        except UserError as error:
            return cls(version, {}, str(error))

    @property
    def figures(self) -> dict[str, int | float]:
        """Its number and the means of recall@1 by kind of pair, such as ``recall_at_1.aligned_mean``."""
        means = {key: round(mean, 4) for key, mean in summarise(self.evaluation).items()}
        return {"version": self.version.number} | {key: means[key] for key in means if key.startswith("recall_at_1.")}

    @property
    def trained(self) -> list[Pair]:
        """The pairs it was trained for: the aligned ones, of a single its two views."""
        return [pair for pair in self.evaluation["pairs"].values() if pair["kind"] != "emergent"]

    @property
    def mean(self) -> float:
        """Mean recall@1 of the pairs it was trained for."""
        return sum(float(pair["recall_at_1"]) for pair in self.trained) / len(self.trained)


def gates_of(
    candidate: Candidate, champion: Candidate | None, features: Path, baseline: Mapping[str, Pair]
) -> tuple[Gate, ...]:
    """Return what a version has to meet by itself, and whether it is worse than the one in production.

    A fall is the recall@1 of the champion less that of the candidate; of several trainings, recall@1 is their mean, for
    which of them is the model says little of a new one. It is beyond chance if the 95 % interval of the difference lies
    above zero: fall > sqrt(u^2 + l^2), where u is how far the interval of the candidate reaches above its recall and l
    how far that of the champion reaches below. Intervals of several trainings are over trainings and materials
    (`matbind.evaluation.two_level`); a version that was trained once beside one that was trained often is taken to vary
    from training to training as that one does. This takes the two as independent;
    being asked about the same materials they are not, which makes the true interval narrower: a version is refused
    late rather than wrongly. For the mean of the aligned pairs (of a single: of its views) u and l are the means of
    those of the pairs, the widest that the mean of correlated figures can have. Every pair, emergent ones too, is held
    to the same rule by itself: a mean would hide one that collapsed.

    The floor holds where nothing is in production too: the mean has to be above that of guessing and above that of the
    linear baseline, by the same rule beyond chance. Where the baseline finds more than every other material at once,
    there is little left to gain, and it is enough not to be below it.

    Args:
        candidate: the version to promote.
        champion: the one in production, None if there is none.
        features: the feature stores, which tell the current test split.
        baseline: figures of the linear baseline by the name of the pair, empty if there are none.

    Returns:
        ``evaluation``, with one ``attached`` and ``floor``, ``test_split``, ``comparable``, and if they are ``mean``
        and ``pairs``.

    Source: Zou and Donner 2008, Statistics in Medicine 27, 1693: limits of a difference from the limits of both.
    """
    whole = f"its evaluation is whole ({len(candidate.evaluation.get('pairs', ()))} pairs)"
    gates = [Gate("evaluation", not candidate.problem, candidate.problem or whole)]
    if not candidate.problem:
        differs = candidate.differs and f"its {candidate.differs}, register it again"
        gates.append(Gate("attached", not differs, differs or "the evaluation is the one that its tags speak of"))
        gates.append(_floor(candidate, baseline))
    gates.append(_on_current_split(candidate, features))
    if champion is None:
        return *gates, Gate("comparable", True, "there is no version in production to compare with")
    if reason := _incomparable(candidate, champion):
        return *gates, Gate("comparable", False, reason)
    comparable = Gate("comparable", True, f"it was evaluated on the same test split as {champion.title}")
    return *gates, comparable, _mean(candidate, champion), _pairs(candidate, champion)


def allowed_fall(new: Sequence[Pair], old: Sequence[Pair], *, both_trained: bool = True) -> float:
    """Return how much lower than ``old`` the mean recall@1 of ``new`` may be by chance; see `gates_of`.

    Args:
        new: pairs of one side.
        old: the same pairs of the other.
        both_trained: whether both sides vary from training to training; the linear baseline does not.
    """
    both = list(zip(new, old, strict=True))
    above = sum(_reach(pair, 1, like=other if both_trained else None) for pair, other in both) / len(both)
    below = sum(_reach(pair, 0, like=other if both_trained else None) for other, pair in both) / len(both)
    return math.hypot(above, below)


def _reach(pair: Pair, side: int, *, like: Pair | None = None) -> float:
    """How far the interval reaches from the recall, to its lower (0) or upper (1) end.

    Args:
        pair: figures of one version.
        side: which end.
        like: those of another, whose trainings tell how much those of a version that was trained once would differ.
    """
    low, high = pair["recall_at_1_ci95"]
    end = high if side else low
    reach = float(RULE_OF_THREE / pair["n"] if low == high else abs(end - pair["recall_at_1"]))
    # Evaluations that were registered before there were several seeds say nothing of seeds.
    if like is None or pair.get("n_seeds", 1) > 1 or like.get("recall_at_1_sd") is None:
        return reach
    from matbind.evaluation.two_level import wider_reach  # loads NumPy, which a list of models can do without

    return wider_reach(reach, deviation=like["recall_at_1_sd"], n_trainings=like["n_seeds"])


def _problem(version: Version, evaluation: Any) -> str:
    """What an evaluation lacks; empty if it can be judged by."""
    try:
        combination = Combination(tuple(version.combination.split("+")), evaluation["hub"])
        expected = [pair_name(*pair) for pair in combination.pairs()]
        measured, unmeasured = evaluation["pairs"], evaluation.get("unmeasured") or {}
        missing = [name for name in expected if name not in measured and name not in unmeasured]
        foreign = sorted(measured.keys() - set(expected))
        broken = [name for name, pair in measured.items() if not _is_whole(pair)]
        trained = [pair for pair in measured.values() if pair["kind"] != "emergent"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"its {EVALUATION_FILE} is no evaluation of {version.combination} ({type(error).__name__}: {error})"
    for names, lack in ((missing, "lacks"), (foreign, "is of another model, it holds"), (broken, "has no figures of")):
        if names:
            return f"its {EVALUATION_FILE} {lack} {', '.join(names)}"
    return "" if trained else f"its {EVALUATION_FILE} measures no pair that was trained"


def _is_whole(pair: Pair) -> bool:
    low, high = pair["recall_at_1_ci95"]
    shares = [float(share) for share in (pair["recall_at_1"], low, high)]
    return all(0 <= share <= 1 for share in shares) and pair["n"] >= FEWEST and pair["kind"] in KINDS


def _on_current_split(candidate: Candidate, features: Path) -> Gate:
    from matbind.serving.bundle import test_set_digest  # loads torch, which a list of models can do without

    try:
        current = test_set_digest(features)
    except UserError as error:
        return Gate("test_split", False, f"the current test split is not known ({error})")
    if candidate.test_split == current:
        return Gate("test_split", True, f"it was evaluated on the current test split ({current[:SHORT]})")
    says = (
        f"its evaluation is stale: it was made on the test split {candidate.test_split[:SHORT]}, the current one is "
        f"{current[:SHORT]}; evaluate and register it again"
    )
    return Gate("test_split", False, says)


def _floor(candidate: Candidate, baseline: Mapping[str, Pair]) -> Gate:
    """Hold a version against guessing and against the linear baseline, on the pairs it was trained for."""
    trained = {name: pair for name, pair in candidate.evaluation["pairs"].items() if pair["kind"] != "emergent"}
    chance = sum(1 / pair["n"] for pair in trained.values()) / len(trained)
    reach = sum(_reach(pair, 0) for pair in trained.values()) / len(trained)
    guessing = f"guessing reaches {chance:.3f}"
    says = f"its mean {candidate.kind} recall@1 is {candidate.mean:.3f}, {guessing}"
    if candidate.mean - reach <= chance + ROUNDING:
        return Gate("floor", False, f"{says}, expected more than {chance + reach:.3f}, beyond chance")
    shared = [name for name, pair in trained.items() if name in baseline and baseline[name]["n"] == pair["n"]]
    if not shared:
        return Gate("floor", True, f"{says}; no linear baseline is known for it")
    ours, linear = [trained[name] for name in shared], [baseline[name] for name in shared]
    new, old = (sum(float(pair["recall_at_1"]) for pair in side) / len(side) for side in (ours, linear))
    says = f"its mean {candidate.kind} recall@1 is {new:.3f}, {guessing}, the linear baseline {old:.3f}"
    if old >= STRONG:
        least = old - allowed_fall(ours, linear, both_trained=False)
        passed, expected = new >= least - ROUNDING, f"at least {least:.3f}"
    else:
        least = old + allowed_fall(linear, ours, both_trained=False)
        passed, expected = new > least + ROUNDING, f"more than {least:.3f}"
    return Gate("floor", passed, says if passed else f"{says}, expected {expected}, beyond chance")


def _incomparable(candidate: Candidate, champion: Candidate) -> str:
    """Why two versions cannot be compared; empty if they can."""
    named, so = champion.title, "so they cannot be compared"
    if candidate.problem:
        return f"without an evaluation it cannot be compared with {named}"
    if champion.problem:
        return f"{named} has no evaluation that can be used ({champion.problem}), {so}"
    if champion.differs:
        return f"the {EVALUATION_FILE} of {named} is not the one that its tags speak of, {so}"
    if champion.test_split != candidate.test_split:
        return (
            f"{named} was evaluated on another test split ({champion.test_split[:SHORT]}, not "
            f"{candidate.test_split[:SHORT]}; mean {candidate.kind} recall@1 {candidate.mean:.3f} and "
            f"{champion.mean:.3f}), {so}"
        )
    for name in sorted({*candidate.evaluation["pairs"], *champion.evaluation["pairs"]}):
        new, old = (side.evaluation["pairs"].get(name, {}).get("n", 0) for side in (candidate, champion))
        if new != old:
            return f"{name} was measured on {new} materials, of {named} on {old}, {so}"
    return ""


def _mean(candidate: Candidate, champion: Candidate) -> Gate:
    fall = champion.mean - candidate.mean
    allowed = allowed_fall(candidate.trained, champion.trained)
    passed = fall <= allowed + ROUNDING
    says = (
        f"its mean {candidate.kind} recall@1 is {candidate.mean:.3f}, that of {champion.title} {champion.mean:.3f}"
        f"{_trainings(candidate, champion)}"
        f"{';' if passed else f', lower by {fall:.3f}:'} the intervals of both allow a fall of {allowed:.3f}"
    )
    return Gate("mean", passed, says)


def _trainings(candidate: Candidate, champion: Candidate) -> str:
    """Say of how many trainings the means are, where it is not one of each."""
    new, old = (max(pair.get("n_seeds", 1) for pair in side.trained) for side in (candidate, champion))
    return "" if new == old == 1 else f" (means of {new} and {old} trainings)"


def _pairs(candidate: Candidate, champion: Candidate) -> Gate:
    fallen = []
    for name, new in candidate.evaluation["pairs"].items():
        old = champion.evaluation["pairs"][name]
        fall, allowed = old["recall_at_1"] - new["recall_at_1"], allowed_fall([new], [old])
        if fall > allowed + ROUNDING:
            says = f"{name} from {old['recall_at_1']:.3f} to {new['recall_at_1']:.3f} (allowed: {allowed:.3f})"
            fallen.append((fall - allowed, says))
    if not fallen:
        return Gate("pairs", True, f"no pair fell below that of {champion.title} by more than its interval")
    worst = [says for _, says in sorted(fallen, reverse=True)]
    more = [f"{len(worst) - MOST_PAIRS} more"] if len(worst) > MOST_PAIRS else []
    return Gate("pairs", False, f"recall@1 fell beyond its interval: {', '.join(worst[:MOST_PAIRS] + more)}")
