"""A version of a registered model with the evaluation that it is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matbind.base.errors import UserError
from matbind.modalities.combinations import Combination, pair_name
from matbind.registry.registry import EVALUATION_FILE, Registry, Version
from matbind.tracking.record import KINDS, summarise

FEWEST = 2  # materials: below it there is nothing to confuse a key with

Pair = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version with the evaluation it was registered with.

    Attributes:
        version: of a registered model.
        found: content of its evaluation, empty if it cannot be used.
        problem: why it cannot be used, empty if it can.
    """

    version: Version
    found: Mapping[str, Any]
    problem: str

    @property
    def figures(self) -> dict[str, float]:
        """Means of recall@1 by kind of pair, such as ``recall_at_1.aligned_mean``."""
        return {key: round(mean, 4) for key, mean in summarise(self.found).items() if key.startswith("recall_at_1.")}

    @property
    def main(self) -> dict[str, Pair]:
        """The pairs it was trained for: the aligned ones, of a single its two views."""
        return {name: pair for name, pair in self.found.get("pairs", {}).items() if pair["kind"] != "emergent"}

    @property
    def test_split(self) -> str:
        """Digest of the test split it was evaluated on."""
        return self.version.tags.get("test_set_digest", "unknown")


def read_candidate(registry: Registry, version: Version) -> Candidate:
    """A version with its evaluation; one that is missing or not whole is a problem, and no error."""
    try:
        found = registry.evaluation(version)
    except UserError as error:
        return Candidate(version, {}, str(error))
    return as_candidate(version, found)


def as_candidate(version: Version, found: Any) -> Candidate:
    """A version with what is attached to it as its evaluation, whatever that is."""
    problem = _not_whole(version, found)
    return Candidate(version, {} if problem else found, problem)


def _not_whole(version: Version, found: Any) -> str:
    """What an evaluation lacks; empty if it can be judged by."""
    try:
        combination = Combination(tuple(version.combination.split("+")), found["hub"])
        expected = [pair_name(*pair) for pair in combination.pairs()]
        measured, unmeasured = found["pairs"], found.get("unmeasured") or {}
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
