"""One promotion of a model at a time, on every machine: a lock in the registry itself.

Lamport's bakery: whoever comes draws a number higher than all it sees, and waits for those with lower ones and for
those who are drawing. It needs nothing of a store but that what is written can be read, which is all that tags offer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from matbind.base.errors import UserError
from matbind.base.provenance import is_gone, process_fingerprint
from matbind.registry.registry import Registry

CLAIM = "promoting."
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05
LEASE_SECONDS = 600.0  # what another machine claims longer than that has ended without saying so


@dataclass(frozen=True, slots=True)
class Claim:
    """A place in the queue.

    Attributes:
        token: tells it from all others.
        ticket: its number, 0 while it is drawn.
        process: the mark of who claims.
        by: the same in words.
        at_s: since when, seconds since 1970.
    """

    token: str
    ticket: int
    process: str
    by: str
    at_s: float

    @property
    def is_dead(self) -> bool:
        """Whether it was left behind by a process that has ended."""
        return is_gone(self.process) or time.time() - self.at_s > LEASE_SECONDS

    def is_before(self, other: Claim) -> bool:
        """Whether the other one has to wait for it."""
        return not self.ticket or (self.ticket, self.token) < (other.ticket, other.token)


@contextmanager
def alone(registry: Registry, name: str, *, by: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[str]:
    """Hold a registered model for oneself, and leave it whatever happens.

    Args:
        registry: an open one.
        name: of the registered model.
        by: who asks, in words.
        wait_seconds: how long to wait for others.

    Yields:
        A token that no other holder has.

    Raises:
        UserError: if another one holds it for too long, or the store cannot be used.
    """
    own = Claim(uuid.uuid4().hex[:8], 0, process_fingerprint(), by, time.time())
    try:
        _write(registry, name, own)
        own = replace(own, ticket=1 + max((each.ticket for each in claims(registry, name)), default=0))
        _write(registry, name, own)
        deadline = time.monotonic() + wait_seconds
        while first := _before(registry, name, own):
            if time.monotonic() > deadline:
                raise UserError(
                    f"{name}: a promotion by {first.by} has been under way for {time.time() - first.at_s:.0f} s, "
                    "expected it to end; try again later"
                )
            time.sleep(POLL_SECONDS)
        yield own.token
    finally:
        with suppress(UserError):  # what has happened is said or done already; a claim of a dead process does not count
            _remove(registry, name, own)


def claims(registry: Registry, name: str) -> list[Claim]:
    """The claims of living processes; those of dead ones are left out."""
    with registry.usable():
        tags = registry.client.get_registered_model(name).tags
    return [claim for claim in _read(tags) if not claim.is_dead]


def _before(registry: Registry, name: str, own: Claim) -> Claim | None:
    """The one to wait for, None if it is one's turn. Dead claims are cleared away."""
    with registry.usable():
        found = _read(registry.client.get_registered_model(name).tags)
    for claim in found:
        if claim.is_dead:
            _remove(registry, name, claim)
    return min(
        (each for each in found if each.token != own.token and not each.is_dead and each.is_before(own)),
        key=lambda each: (each.ticket, each.token),
        default=None,
    )


def _read(tags: dict[str, str]) -> list[Claim]:
    return [Claim(**json.loads(value)) for key, value in tags.items() if key.startswith(CLAIM)]


def _write(registry: Registry, name: str, claim: Claim) -> None:
    with registry.usable():
        registry.client.set_registered_model_tag(name, CLAIM + claim.token, json.dumps(asdict(claim)))


def _remove(registry: Registry, name: str, claim: Claim) -> None:
    with registry.usable():
        registry.client.delete_registered_model_tag(name, CLAIM + claim.token)
