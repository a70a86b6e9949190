"""Which stage each version of a registered model is in, as the aliases and the trail tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matbind.base.errors import UserError
from matbind.registry.promotion import trail
from matbind.registry.promotion.trail import ARCHIVED, DONE, NONE, PRODUCTION, STAGING, Entry
from matbind.registry.registry import CHAMPION, Registry, Version, name_of

STAGING_ALIAS = "staging"
ALIASES = {PRODUCTION: CHAMPION, STAGING: STAGING_ALIAS}


@dataclass(frozen=True)
class State:
    """A registered model as it is at a moment."""

    name: str
    versions: Mapping[int, Version]  # by number, the newest first
    aliases: Mapping[str, int]  # numbers by alias
    entries: Sequence[Entry]  # the trail, the oldest first
    unread: str = ""  # a sentence about what of the trail cannot be read, empty if all can

    @property
    def champion(self) -> int | None:
        """The version in production."""
        return self.aliases.get(CHAMPION)

    @property
    def carried_out(self) -> list[Entry]:
        """The promotions that took effect."""
        return [entry for entry in self.entries if entry.outcome == DONE]

    @property
    def put_away(self) -> set[int]:
        """Versions that somebody archived, and not just another champion that took their place."""
        last = {entry.version: entry.to for entry in self.carried_out}
        return {number for number, to in last.items() if to == ARCHIVED}

    def stage(self, number: int) -> str:
        """Return the stage of a version: production, staging, archived if it was in one or was put away, else none."""
        if self.champion == number:
            return PRODUCTION
        if self.aliases.get(STAGING_ALIAS) == number:
            return STAGING
        return ARCHIVED if any(number in (entry.version, entry.replaced) for entry in self.carried_out) else NONE

    def last_champion(self) -> int | None:
        """Return the version to go back to: the champion before this one that was not put away since.

        A version that was rolled back from is none to go back to; so a second rollback goes one further back.

        Returns:
            Its number; None if there is none.
        """
        line: list[int] = []
        for entry in self.carried_out:
            if entry.to == ARCHIVED:
                line = [number for number in line if number != entry.version]
            elif entry.to == PRODUCTION:
                if entry.replaced is not None and line[-1:] != [entry.replaced]:
                    line.append(entry.replaced)
                if entry.action == trail.ROLLBACK and entry.version in line:
                    while line[-1] != entry.version:
                        line.pop()
                else:
                    line.append(entry.version)
        known = [number for number in line if number in self.versions and number != self.champion]
        return known[-1] if known else None


def read_state(registry: Registry, name: str) -> State:
    """Read a registered model by its name, or by a combination such as ``crystal+pxrd``.

    Raises:
        UserError: if there is no such model, or the store cannot be used.
    """
    registered = name_of(name)
    versions = {version.number: version for version in registry.versions(registered)}
    if not versions:
        raise UserError(registry.missing(name))
    aliases, tags = registry.labels(registered)
    entries, unread = trail.read_trail(registry, registered, tags)
    return State(registered, versions, aliases, _settled(entries, aliases), unread)


def _settled(entries: Sequence[Entry], aliases: Mapping[str, int]) -> list[Entry]:
    """The trail with every intent whose switch did take place as done; its process died before it could say so."""
    settled: list[Entry] = []
    present = dict[str, int | None](aliases)  # what each alias pointed to after the entry
    for entry in reversed(entries):
        if entry.outcome == trail.INTENDED and (not entry.alias or present.get(entry.alias) == entry.points_to):
            entry = entry.model_copy(update={"outcome": DONE})  # noqa: PLW2901
        if entry.outcome == DONE and entry.alias:
            present[entry.alias] = entry.replaced
        settled.insert(0, entry)
    return settled
