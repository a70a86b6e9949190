"""Promotion of a registered model's versions: staging, production, archived, and back.

A stage is an alias: `champion` is production, `staging` is staging. A version takes one only if it meets the gates of
`promotion_gates`, or is forced, which is recorded with who and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from matbind.base.errors import UserError
from matbind.base.files import FEATURES
from matbind.registry.promotion.candidate import Candidate, read_candidate
from matbind.registry.promotion.claim import alone
from matbind.registry.promotion.decision import Decision, Refused, accepted, refused, unchanged
from matbind.registry.promotion.gates import Gate, own_gates, regression_gates
from matbind.registry.promotion.state import ALIASES, State, read_state
from matbind.registry.promotion.steps import carry_out, repair
from matbind.registry.promotion.trail import (
    ARCHIVED,
    DONE,
    PRODUCTION,
    PROMOTE,
    ROLLBACK,
    STAGING,
    Entry,
    checked_reason,
    now,
)
from matbind.registry.promotion.user import acting_user
from matbind.registry.registry import CHALLENGER, Registry, Version

STAGES = (STAGING, PRODUCTION, ARCHIVED)


def promote(
    name: str,
    *,
    to: str,
    version: int | None = None,
    reason: str = "",
    force: bool = False,
    classic_stages: bool = False,
    features: Path = FEATURES,
    root: Path = Path(),
) -> Decision:
    """Move a version of a registered model to a stage.

    Args:
        name: of the registered model, or its combination.
        to: staging, production or archived.
        version: which one, the challenger if not given.
        reason: why; kept in the trail.
        force: also if it does not meet the gates; needs a reason.
        classic_stages: set MLflow's deprecated stages too; once they were set for a model, they are kept up.
        features: the feature stores, which tell the current test split.
        root: the project directory.

    Returns:
        What was decided and kept. A version that is in this stage already stays there, and nothing is kept.

    Raises:
        Refused: if it does not meet the gates.
        UserError: if there is no such model, version or stage, or the store cannot be used.
    """
    if to not in STAGES:
        raise UserError(f"--to is {to!r}, expected one of {', '.join(STAGES)}")
    why = checked_reason(reason)
    if force and not why:
        raise UserError("--force is given without --reason, expected why the gates are to be overridden")
    with _held(name, root) as held:
        chosen = held.choose(version)
        entry = held.entry(chosen, to=to, reason=why, classic=classic_stages)
        if entry.source == to and (to != ARCHIVED or chosen.number in held.state.put_away):
            return unchanged(held.state.name, entry)
        if entry.source == PRODUCTION and to == STAGING:
            raise UserError(
                f"{held.state.name} version {chosen.number} is in production, expected another one for staging; "
                "promote another to production first, or go back by --rollback"
            )
        entry = replace(entry, gates=tuple(held.gates(entry, features)))
        failed = tuple(gate.name for gate in entry.gates if not gate.passed)
        if failed and not force:
            raise Refused(refused(held.state.name, entry))
        return held.carry_out(replace(entry, overridden=failed))


def rollback(name: str, *, reason: str = "", classic_stages: bool = False, root: Path = Path()) -> Decision:
    """Give production back to the last champion that was not archived by hand since.

    No gate is asked: it was in production before. The version that is left is archived; a second rollback goes one
    further back.

    Args:
        name: of the registered model, or its combination.
        reason: why; kept in the trail.
        classic_stages: as in `promote`.
        root: the project directory.

    Returns:
        What was done and kept.

    Raises:
        UserError: if there is nothing to go back to, no such model, or the store cannot be used.
    """
    why = checked_reason(reason)
    with _held(name, root) as held:
        last = held.state.last_champion()
        if last is None:
            there = f"version {held.state.champion}" if held.state.champion else "no version"
            raise UserError(
                f"{held.state.name} has {there} in production and none before it, expected an earlier champion to go "
                "back to"
            )
        chosen = held.state.versions[last]
        return held.carry_out(held.entry(chosen, to=PRODUCTION, reason=why, classic=classic_stages, action=ROLLBACK))


@dataclass(frozen=True)
class _Held:
    """A registered model that nobody else promotes meanwhile."""

    registry: Registry
    state: State
    by: str
    token: str
    read: dict[int, Candidate] = field(default_factory=dict)  # their evaluations are fetched once

    def choose(self, number: int | None) -> Version:
        which = f"@{CHALLENGER}" if number is None else f"/{number}"
        return self.registry.resolve(f"{self.state.name}{which}")

    def candidate(self, number: int | None) -> Candidate | None:
        if number is None or number not in self.state.versions:
            return None
        if number not in self.read:
            self.read[number] = read_candidate(self.registry, self.state.versions[number])
        return self.read[number]

    def entry(self, version: Version, *, to: str, reason: str, classic: bool, action: str = PROMOTE) -> Entry:
        """A draft without gates."""
        source = self.state.stage(version.number)
        alias = ALIASES.get(source if to == ARCHIVED else to, "")
        sides = {"candidate": self.candidate(version.number), "champion": self.candidate(self.state.champion)}
        return Entry(
            number=1 + max((entry.number for entry in self.state.entries), default=0),
            token=self.token,
            at=now(),
            by=self.by,
            action=action,
            version=version.number,
            source=source,
            to=to,
            alias=alias,
            replaced=self.state.aliases.get(alias),
            reason=reason,
            figures={who: {"version": each.version.number} | each.figures for who, each in sides.items() if each},
            classic=classic or any(entry.classic for entry in self.state.entries),
        )

    def gates(self, entry: Entry, features: Path) -> list[Gate]:
        if entry.to == ARCHIVED:
            kept = entry.source != PRODUCTION
            says = "another version or none is in production" if kept else "this would leave none in production"
            return [Gate("champion", kept, says)]
        candidate = self.candidate(entry.version)
        assert candidate is not None
        return [*own_gates(candidate, features), *regression_gates(candidate, self.candidate(self.state.champion))]

    def carry_out(self, entry: Entry) -> Decision:
        carry_out(self.registry, self.state, entry)
        return accepted(self.state.name, replace(entry, outcome=DONE))


@contextmanager
def _held(name: str, root: Path) -> Iterator[_Held]:
    """Hold a registered model, with whatever an earlier promotion left half done completed."""
    registry, by = Registry(root), acting_user(root)
    own = read_state(registry, name).name
    with alone(registry, own, by=by) as token:
        yield _Held(registry, repair(registry, own, by=by), by, token)
