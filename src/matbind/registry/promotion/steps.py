"""The calls that carry a promotion out, in an order that leaves one champion wherever it is cut off.

The intent is written first; switching one alias is the one step that counts; what follows from the aliases is derived,
and derived again by the next promotion if a process died before it was.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from matbind.registry.promotion.claim import alone, claims
from matbind.registry.promotion.state import STAGE, STAGING_ALIAS, State, read_state
from matbind.registry.promotion.trail import (
    ARCHIVED,
    DONE,
    INTERRUPTED,
    PRODUCTION,
    STAGING,
    Entry,
    write_entry,
    write_outcome,
)
from matbind.registry.registry import Registry

CLASSIC = {STAGING: "Staging", PRODUCTION: "Production", ARCHIVED: "Archived"}


def carry_out(registry: Registry, state: State, entry: Entry) -> None:
    """Move a version to its stage; the caller holds the model for itself.

    Raises:
        UserError: if the store cannot be used; what is half done then is completed by `repair`.
    """
    write_entry(registry, state.name, entry)
    version = state.versions[entry.version]
    if not entry.alias:
        registry.set_tags(version, {STAGE: entry.to})
    elif entry.points_to is None:
        registry.delete_alias(state.name, entry.alias)
    else:
        registry.set_alias(version, entry.alias)
    _complete(registry, state.name, entry, by=entry.by)


def repair(registry: Registry, name: str, *, by: str) -> State:
    """Complete or close what processes that died left open, and let the tags say what the aliases say.

    Args:
        registry: an open one.
        name: of the registered model, which the caller holds for itself.
        by: who does it.

    Returns:
        The model as it is then.

    Raises:
        UserError: if the store cannot be used.
    """
    state = read_state(registry, name)
    if not _needs_repair(state):
        return state
    for entry in state.open_entries:
        if state.took_effect(entry):
            _complete(registry, name, entry, by=by)
        else:
            write_outcome(registry, name, entry, INTERRUPTED, by=by)
    _derive(registry, read_state(registry, name))
    return read_state(registry, name)


def settle(registry: Registry, state: State, *, by: str) -> State:
    """`repair` where it is needed, unless a promotion is under way.

    Returns:
        The model as it is then.

    Raises:
        UserError: if the store cannot be used.
    """
    if not _needs_repair(state) or claims(registry, state.name):
        return state
    with alone(registry, state.name, by=by):
        return repair(registry, state.name, by=by)


def _complete(registry: Registry, name: str, entry: Entry, *, by: str) -> None:
    """All that follows from a switched alias. The outcome comes last: as long as it is missing, this is done again."""
    state = read_state(registry, name)
    closed = tuple(replace(each, outcome=DONE) if each.key == entry.key else each for each in state.entries)
    _derive(registry, replace(state, entries=closed))
    if entry.classic:
        _set_classic_stage(registry, name, entry)
    write_outcome(registry, name, entry, DONE, by=by)


def _derive(registry: Registry, state: State) -> None:
    if _is_twice(state):
        registry.delete_alias(state.name, STAGING_ALIAS)
    for number, stage in state.stale_tags().items():
        registry.set_tags(state.versions[number], {STAGE: stage})


def _needs_repair(state: State) -> bool:
    return bool(state.open_entries or state.stale_tags() or _is_twice(state))


def _is_twice(state: State) -> bool:
    """Whether a version that went to production is in staging still."""
    return state.champion is not None and state.champion == state.aliases.get(STAGING_ALIAS)


def _set_classic_stage(registry: Registry, name: str, entry: Entry) -> None:
    with registry.usable(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # they are deprecated, which is known and wanted here
        registry.client.transition_model_version_stage(
            name, str(entry.version), CLASSIC[entry.to], archive_existing_versions=entry.to != ARCHIVED
        )
