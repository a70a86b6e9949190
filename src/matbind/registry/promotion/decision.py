"""What was decided of a promotion, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from matbind.base.errors import UserError
from matbind.registry.promotion.trail import ARCHIVED, Entry


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of a version.

    Attributes:
        name: of the registered model.
        entry: what is kept of it; of a refusal it is kept nowhere.
        accepted: whether the version is in its stage now.
        is_new: whether anything was changed.
        says: all that in a sentence.
    """

    name: str
    entry: Entry
    accepted: bool
    is_new: bool
    says: str


class Refused(UserError):  # noqa: N818  # it is an answer, and no failure of the program
    """A version does not meet the gates."""

    def __init__(self, decision: Decision) -> None:
        """Keep what was decided."""
        super().__init__(decision.says)
        self.decision = decision


def accepted(name: str, entry: Entry) -> Decision:
    """A version was moved."""
    place = f" in place of version {entry.replaced}" if entry.points_to and entry.replaced else ""
    forced = f"; forced in spite of: {', '.join(entry.overridden)}" if entry.overridden else ""
    says = f"{name} version {entry.version} is in {entry.to} now{place}{_figures(entry)}{forced}"
    if entry.to == ARCHIVED:
        says = f"{name} version {entry.version} is archived{forced}"
    return Decision(name, entry, accepted=True, is_new=True, says=says)


def unchanged(name: str, entry: Entry) -> Decision:
    """A version is where it was to be moved."""
    says = f"{name} version {entry.version} is in the stage {entry.to} already"
    return Decision(name, entry, accepted=True, is_new=False, says=says)


def refused(name: str, entry: Entry) -> Decision:
    """A version does not meet the gates."""
    why = "; ".join(gate.says for gate in entry.gates if not gate.passed)
    says = f"{name} version {entry.version} is not moved to {entry.to}: {why} (--force with --reason overrides this)"
    return Decision(name, entry, accepted=False, is_new=False, says=says)


def _figures(entry: Entry) -> str:
    """The mean recall@1 of both, in brackets."""
    told = []
    for who, means in entry.figures.items():
        if who == "candidate" or means["version"] != entry.version:
            kind = next((kind for kind in ("aligned", "view") if f"recall_at_1.{kind}_mean" in means), None)
            told += [f"version {means['version']}: {kind} {means[f'recall_at_1.{kind}_mean']:.3f}"] if kind else []
    return f" (mean recall@1 of {', '.join(told)})" if told else ""
