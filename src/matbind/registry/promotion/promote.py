"""Promotion of a registered model's versions: staging, production, archived, and back.

A stage is an alias: `champion` is production, `staging` is staging. A version takes one only if it meets the gates of
`matbind.registry.promotion.gates`, or is forced, which is recorded with who and why. Switching the alias is one call
and the only one that counts: the trail is written before it, and what MLflow's page shows besides follows from it.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from matbind.base.errors import UserError
from matbind.base.files import COMPARISON, FEATURES, read_json
from matbind.registry.promotion import trail
from matbind.registry.promotion.gates import Candidate, Gate, gates_of
from matbind.registry.promotion.state import ALIASES, STAGING_ALIAS, State, read_state
from matbind.registry.promotion.trail import ARCHIVED, NONE, PRODUCTION, STAGING, Entry
from matbind.registry.registry import CHALLENGER, Registry

Sides = tuple[Candidate, Candidate | None]
STAGES = (STAGING, PRODUCTION, ARCHIVED)
CLASSIC = {STAGING: "Staging", PRODUCTION: "Production", ARCHIVED: "Archived"}
STAGE = "stage"  # the tag of a version; aliases are what counts
_INSERTED_TWICE = re.compile(r"unique constraint|duplicate (key|entry)", re.IGNORECASE)  # as any database says it


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of a version."""

    name: str  # of the registered model
    entry: Entry  # what is kept of it; of a refusal it is kept nowhere
    accepted: bool  # whether the version is in its stage now
    is_new: bool  # whether anything was changed
    says: str  # all that in a sentence


class Refused(UserError):  # noqa: N818  # it is an answer, and no failure of the program
    """A version does not meet the gates."""

    def __init__(self, decision: Decision) -> None:
        """Keep what was decided."""
        super().__init__(decision.says)
        self.decision = decision


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
        root: the project directory; its comparison tells what the linear baseline reaches.

    Returns:
        What was decided and kept. A version that is in this stage already stays there, and nothing is kept.

    Raises:
        Refused: if it does not meet the gates.
        UserError: if there is no such model, version or stage, somebody else promotes the model meanwhile, or the store
            cannot be used.
    """
    if to not in STAGES:
        raise UserError(f"--to is {to!r}, expected one of {', '.join(STAGES)}")
    why = trail.checked_reason(reason)
    if force and not why:
        raise UserError("--force is given without --reason, expected why the gates are to be overridden")
    registry = Registry(root)
    state = read_state(registry, name)
    chosen = registry.resolve(f"{state.name}@{CHALLENGER}" if version is None else f"{state.name}/{version}")
    source = state.stage(chosen.number)
    titled = f"{state.name} version {chosen.number}"
    if source == PRODUCTION and to == STAGING:
        raise UserError(
            f"{titled} is in production, expected another one for staging; promote another to production first, or go "
            "back by --rollback"
        )
    sides = _sides(registry, state, chosen.number)
    entry = _entry(state, sides, to=to, reason=why, classic_stages=classic_stages, root=root)
    if source == to and (to != ARCHIVED or chosen.number in state.put_away):
        warning = _show(registry, state.name)
        return Decision(state.name, entry, True, False, f"{titled} is in the stage {to} already{warning}")
    if to == ARCHIVED:
        says = "this would leave none in production" if source == PRODUCTION else "it is not in production"
        gates: tuple[Gate, ...] = (Gate("champion", source != PRODUCTION, says),)
    else:
        comparison = root / COMPARISON
        baseline = read_json(comparison).get("baseline", {}) if comparison.exists() else {}
        gates = gates_of(*sides, features, baseline)
    entry = entry.model_copy(update={"gates": gates})
    failed = [gate for gate in gates if not gate.passed]
    if failed and not force:
        says = "; ".join(gate.says for gate in failed)
        says = f"{titled} is not moved to {to}: {says} (--force with --reason overrides this)"
        raise Refused(Decision(state.name, entry, False, False, says))
    overridden = tuple(gate.name for gate in failed)
    return _carry_out(registry, state, entry.model_copy(update={"overridden": overridden}), root)


def rollback(name: str, *, reason: str = "", classic_stages: bool = False, root: Path = Path()) -> Decision:
    """Give production back to the last champion that was not archived by hand since.

    No gate is asked: it was in production before. The version that is left is archived; a second rollback goes one
    further back. Arguments and answer are those of `promote`.

    Raises:
        UserError: if there is nothing to go back to, no such model, or the store cannot be used.
    """
    why = trail.checked_reason(reason)
    registry = Registry(root)
    state = read_state(registry, name)
    last = state.last_champion()
    if last is None:
        there = f"version {state.champion}" if state.champion else "no version"
        unread = f"; {state.unread}" if state.unread else ""
        raise UserError(
            f"{state.name} has {there} in production and none before it, expected an earlier champion to go back to"
            f"{unread}"
        )
    sides = _sides(registry, state, last)
    entry = _entry(state, sides, to=PRODUCTION, reason=why, classic_stages=classic_stages, root=root)
    return _carry_out(registry, state, entry.model_copy(update={"action": trail.ROLLBACK}), root)


def _sides(registry: Registry, state: State, number: int) -> Sides:
    """The version to be moved, and the one in production."""
    champion = state.versions.get(state.champion or 0)
    return Candidate.read(registry, state.versions[number]), Candidate.read(registry, champion) if champion else None


def _entry(state: State, sides: Sides, *, to: str, reason: str, classic_stages: bool, root: Path) -> Entry:
    """What is going to be kept of a promotion, without gates."""
    number = sides[0].version.number
    source = state.stage(number)
    alias = ALIASES.get(source if to == ARCHIVED else to, "")
    return Entry(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        by=trail.acting_user(root),
        action=trail.PROMOTE,
        version=number,
        source=source,
        to=to,
        alias=alias,
        replaced=state.aliases.get(alias),
        reason=reason,
        figures={name: side.figures for name, side in zip(("candidate", "champion"), sides, strict=True) if side},
        classic_stages=classic_stages or any(entry.classic_stages for entry in state.entries),
    )


def _carry_out(registry: Registry, state: State, entry: Entry, root: Path) -> Decision:
    """Write the intent, switch the alias, finish the trail; then show it where MLflow's page looks.

    Raises:
        UserError: if an alias moved since the state was read, or the store cannot be used.
    """
    with registry.usable():
        run_id = trail.write_intent(root, state.name, entry)
    present = registry.aliases(state.name)
    for alias in ALIASES.values():
        before, after = (f"version {where[alias]}" if alias in where else "none" for where in (state.aliases, present))
        if before != after:
            raise _too_late(
                registry, run_id, f"{state.name}: somebody else moved the alias {alias} from {before} to {after}"
            )
    try:
        if entry.points_to is not None:
            registry.set_alias(state.versions[entry.version], entry.alias)
        elif entry.alias:
            registry.delete_alias(state.name, entry.alias)
    except UserError as error:
        if _INSERTED_TWICE.search(str(error.__cause__)):  # both saw no alias, and the other was first to set it
            raise _too_late(registry, run_id, f"{state.name}: somebody else set the alias {entry.alias}") from error
        raise
    with registry.usable():
        registry.client.set_terminated(run_id, "FINISHED")
    warning = _show(registry, state.name)
    if entry.classic_stages:
        with registry.usable(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # they are deprecated, which is known and wanted here
            registry.client.transition_model_version_stage(
                state.name, str(entry.version), CLASSIC[entry.to], archive_existing_versions=entry.to != ARCHIVED
            )
    return Decision(state.name, entry, True, True, _moved(state.name, entry) + warning)


def _too_late(registry: Registry, run_id: str, what: str) -> UserError:
    """Close the trail of a promotion that came too late, and return what to tell of it."""
    with registry.usable():
        registry.client.set_terminated(run_id, "FAILED")
    return UserError(
        f"{what} meanwhile, expected it to stay; nothing was changed, look at matbind models and promote again"
    )


def _show(registry: Registry, name: str) -> str:
    """Let the tags of the versions say what the aliases say, and return a warning if one of them cannot be written."""
    state = read_state(registry, name)
    if state.champion is not None and state.champion == state.aliases.get(STAGING_ALIAS):
        registry.delete_alias(name, STAGING_ALIAS)  # it went to production and is in staging no more
    for number, version in state.versions.items():
        if version.tags.get(STAGE, NONE) != state.stage(number):
            try:
                registry.set_tags(version, {STAGE: state.stage(number)})
            except UserError as error:
                if not _INSERTED_TWICE.search(str(error.__cause__)):  # by another promotion; the next writes it again
                    return f" (warning: the tag {STAGE} of version {number} is not up to date, the alias is: {error})"
    return ""


def _moved(name: str, entry: Entry) -> str:
    """The sentence about a version that was moved."""
    forced = f"; forced in spite of: {', '.join(entry.overridden)}" if entry.overridden else ""
    if entry.to == ARCHIVED:
        return f"{name} version {entry.version} is archived{forced}"
    place = f" in place of version {entry.replaced}" if entry.replaced else ""
    means = ", ".join(f"version {number}: {mean}" for number, mean in entry.means.items())
    recall = f" (mean recall@1 of {means})" if means else ""
    return f"{name} version {entry.version} is in {entry.to} now{place}{recall}{forced}"
