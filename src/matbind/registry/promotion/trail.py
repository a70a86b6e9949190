"""The trail of promotions of a registered model, kept in its tags and never rewritten.

An entry is written before anything is changed; its outcome is a tag beside it. No two entries can have the same key,
whoever writes them at the same time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from matbind.base.errors import UserError
from matbind.registry.promotion.gates import Gate
from matbind.registry.registry import Registry

DONE, INTERRUPTED = "done", "interrupted"
PROMOTE, ROLLBACK = "promote", "rollback"
NONE, STAGING, PRODUCTION, ARCHIVED = "none", "staging", "production", "archived"
LONGEST_TAG = 5000  # characters of a tag of a registered model that every database of MLflow keeps
LONGEST_REASON, LONGEST_NAME, LONGEST_SENTENCE = 500, 150, 400
_KEY = re.compile(r"^promotion\.(?P<number>\d{4,})\.(?P<token>[0-9a-f]+)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One promotion, archiving or rollback.

    Attributes:
        number: its place in the trail, from 1.
        token: tells it from one of the same number, should there ever be one.
        at: when, ISO 8601, UTC.
        by: who.
        action: promote or rollback.
        version: which version is moved.
        source: its stage before.
        to: its stage after.
        alias: which alias moves with it, empty if none does.
        replaced: the version that the alias pointed to before, None if to none.
        reason: why, as given.
        gates: what was asked of it.
        overridden: names of the gates that it failed and was forced through.
        figures: means of recall@1 of it and of the champion at that time, by ``candidate`` and ``champion``.
        classic: whether MLflow's deprecated stages are set too.
        outcome: done, interrupted (nothing was changed), or empty while it is under way.
    """

    number: int
    token: str
    at: str
    by: str
    action: str
    version: int
    source: str
    to: str
    alias: str
    replaced: int | None
    reason: str = ""
    gates: tuple[Gate, ...] = ()
    overridden: tuple[str, ...] = ()
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classic: bool = False
    outcome: str = ""

    @property
    def key(self) -> str:
        """Of its tag."""
        return f"promotion.{self.number:04d}.{self.token}"

    @property
    def points_to(self) -> int | None:
        """The version that the alias points to afterwards, None if it is taken away."""
        return None if self.to == ARCHIVED else self.version

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        gates = [{"name": gate.name, "passed": gate.passed, "says": gate.says} for gate in self.gates]
        return {
            "number": self.number,
            "at": self.at,
            "by": self.by,
            "action": self.action,
            "version": self.version,
            "from": self.source,
            "to": self.to,
            "alias": self.alias,
            "replaced": self.replaced,
            "reason": self.reason,
            "overridden": list(self.overridden),
            "figures": {who: dict(means) for who, means in self.figures.items()},
            "gates": gates,
            "classic_stages": self.classic,
            "outcome": self.outcome,
        }


def read_entries(name: str, tags: Mapping[str, str]) -> list[Entry]:
    """The trail of a registered model, the oldest first.

    Args:
        name: of the model.
        tags: all of the model.

    Raises:
        UserError: if somebody changed an entry into something else.
    """
    found = []
    for key, value in tags.items():
        if match := _KEY.match(key):
            try:
                outcome = json.loads(tags[outcome_key(key)])["outcome"] if outcome_key(key) in tags else ""
                found.append(_entry(match["token"], json.loads(value) | {"outcome": outcome}))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{name}: its tag {key} or {outcome_key(key)} holds no promotion ({error})") from error
    return sorted(found, key=lambda entry: (entry.number, entry.at, entry.token))


def write_entry(registry: Registry, name: str, entry: Entry) -> None:
    """Add an entry to the trail.

    Raises:
        UserError: if the store does not take it.
    """
    content = {key: value for key, value in entry.as_dict().items() if key != "outcome"}
    content["by"] = entry.by[:LONGEST_NAME]
    content["gates"] = [gate | {"says": gate["says"][:LONGEST_SENTENCE]} for gate in content["gates"]]
    text = json.dumps(content, ensure_ascii=False)
    assert len(text) <= LONGEST_TAG
    with registry.usable():
        registry.client.set_registered_model_tag(name, entry.key, text)


def write_outcome(registry: Registry, name: str, entry: Entry, outcome: str, *, by: str) -> None:
    """Say what became of an entry, once.

    Raises:
        UserError: if the store does not take it.
    """
    content = {"outcome": outcome, "at": now(), "by": by[:LONGEST_NAME]}
    with registry.usable():
        registry.client.set_registered_model_tag(name, outcome_key(entry.key), json.dumps(content, ensure_ascii=False))


def outcome_key(key: str) -> str:
    """Of the tag that tells what became of the entry with this key."""
    return f"{key}.outcome"


def now() -> str:
    """The time as it is kept: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def checked_reason(reason: str) -> str:
    """A reason in one line.

    Raises:
        UserError: if it is too long.
    """
    line = " ".join(reason.split())
    if len(line) > LONGEST_REASON:
        raise UserError(f"--reason has {len(line)} characters, expected at most {LONGEST_REASON}")
    return line


def _entry(token: str, content: Mapping[str, Any]) -> Entry:
    return Entry(
        token=token,
        source=content["from"],
        gates=tuple(Gate(**gate) for gate in content["gates"]),
        overridden=tuple(content["overridden"]),
        classic=content["classic_stages"],
        **{
            key: content[key]
            for key in ("number", "at", "by", "action", "version", "to", "alias", "replaced", "reason")
        },
        figures=content["figures"],
        outcome=content["outcome"],
    )
