"""Which stage each version of a registered model is in: told by the aliases and the trail, from which tags follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from matbind.base.errors import UserError
from matbind.registry.promotion.trail import ARCHIVED, DONE, NONE, PRODUCTION, ROLLBACK, STAGING, Entry, read_entries
from matbind.registry.registry import CHAMPION, PREFIX, Registry, Version, name_of

STAGING_ALIAS = "staging"
STAGE = "stage"  # the tag of a version; aliases are what counts
ALIASES = {PRODUCTION: CHAMPION, STAGING: STAGING_ALIAS}


@dataclass(frozen=True)
class State:
    """A registered model as it is at a moment.

    Attributes:
        name: of the model.
        versions: by number, the newest first.
        aliases: numbers by alias.
        entries: the trail, the oldest first.
    """

    name: str
    versions: Mapping[int, Version]
    aliases: Mapping[str, int]
    entries: tuple[Entry, ...]

    @property
    def champion(self) -> int | None:
        """The version in production."""
        return self.aliases.get(CHAMPION)

    @property
    def open_entries(self) -> list[Entry]:
        """Promotions that are under way, or whose process died."""
        return [entry for entry in self.entries if not entry.outcome]

    @cached_property
    def _were_in_a_stage(self) -> set[int | None]:
        done = [entry for entry in self.entries if entry.outcome == DONE]
        return {number for entry in done for number in (entry.version, entry.replaced)}

    def stage(self, number: int) -> str:
        """Of a version: production, staging, archived if it was in one of them or was put away, else none."""
        if self.champion == number:
            return PRODUCTION
        if self.aliases.get(STAGING_ALIAS) == number:
            return STAGING
        return ARCHIVED if number in self._were_in_a_stage else NONE

    @property
    def put_away(self) -> set[int]:
        """Versions that somebody archived, and not just another champion that took their place."""
        last = {entry.version: entry.to for entry in self.entries if entry.outcome == DONE}
        return {number for number, to in last.items() if to == ARCHIVED}

    def stale_tags(self) -> dict[int, str]:
        """Stages by number of the versions whose tag says another."""
        return {
            number: self.stage(number)
            for number, version in self.versions.items()
            if version.tags.get(STAGE, NONE) != self.stage(number)
        }

    def took_effect(self, entry: Entry) -> bool:
        """Whether what an open entry meant to change has been changed."""
        if entry.alias:
            return self.aliases.get(entry.alias) == entry.points_to
        version = self.versions.get(entry.version)
        return version is not None and version.tags.get(STAGE) == entry.to

    def last_champion(self) -> int | None:
        """The version to go back to: the champion before this one that was not put away since; None if there is none.

        A version that was rolled back from is none to go back to; so a second rollback goes one further back.
        """
        line: list[int] = []
        for entry in self.entries:
            if entry.outcome != DONE:
                continue
            if entry.to == ARCHIVED:
                line = [number for number in line if number != entry.version]
            elif entry.to == PRODUCTION:
                if entry.replaced is not None and line[-1:] != [entry.replaced]:
                    line.append(entry.replaced)
                if entry.action == ROLLBACK and entry.version in line:
                    while line[-1] != entry.version:
                        line.pop()
                else:
                    line.append(entry.version)
        known = [number for number in line if number in self.versions and number != self.champion]
        return known[-1] if known else None


def read_state(registry: Registry, name: str) -> State:
    """Read a registered model.

    Args:
        registry: an open one.
        name: of the model, or a combination such as ``crystal+pxrd``.

    Raises:
        UserError: if there is no such model, or the store cannot be used.
    """
    own = name_of(name)
    versions = {version.number: version for version in registry.versions(own)}
    if not versions:
        names = ", ".join(registered_names(registry)) or "none: the register stage has not run"
        raise UserError(f"there is no registered model {name}, expected one of those that there are: {names}")
    with registry.usable():
        model = registry.client.get_registered_model(own)
    aliases = {alias: int(number) for alias, number in model.aliases.items()}
    return State(own, versions, aliases, tuple(read_entries(own, model.tags)))


def registered_names(registry: Registry) -> list[str]:
    """Names of the registered models of combinations, sorted."""
    names: list[str] = []
    token: str | None = ""
    while token is not None:
        with registry.usable():
            page = registry.client.search_registered_models(f"name LIKE '{PREFIX}%'", page_token=token or None)
        names += [model.name for model in page]
        token = page.token or None
    return sorted(names)
