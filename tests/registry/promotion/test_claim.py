from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.provenance import process_fingerprint
from matbind.registry.promotion.claim import alone, claims
from matbind.registry.registry import Registry
from tests.registry.registered import registry_in

NAME = "matbind-text"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = registry_in(tmp_path)
    found.client.create_registered_model(NAME)
    return found


def claim(registry: Registry, *, process: str | None = None, ticket: int = 1, seconds_ago: float = 0.0) -> None:
    content = {
        "token": "0",
        "ticket": ticket,
        "process": process or process_fingerprint(),
        "by": "Ann",
        "at_s": time.time() - seconds_ago,
    }
    registry.client.set_registered_model_tag(NAME, "promoting.0", json.dumps(content))


def test_a_claim_is_there_as_long_as_it_is_held(registry: Registry) -> None:
    with alone(registry, NAME, by="Ben") as token:
        [held] = claims(registry, NAME)
        assert (held.token, held.ticket, held.by) == (token, 1, "Ben")

    assert claims(registry, NAME) == []


def test_a_claim_ends_with_an_error(registry: Registry) -> None:
    with pytest.raises(ZeroDivisionError), alone(registry, NAME, by="Ben"):
        raise ZeroDivisionError

    assert claims(registry, NAME) == []


@pytest.mark.parametrize("ticket", [0, 1], ids=["drawing", "before"])
def test_who_was_first_is_named_after_waiting(ticket: int, registry: Registry) -> None:
    claim(registry, ticket=ticket)

    with (
        pytest.raises(UserError, match=r"^matbind-text: a promotion by Ann has been under way for \d+ s, expected it"),
        alone(registry, NAME, by="Ben", wait_seconds=0.2),
    ):
        pass


@pytest.mark.parametrize("case", ["ended", "long ago"])
def test_what_nobody_holds_any_more_is_cleared_away(case: str, registry: Registry) -> None:
    machine = process_fingerprint().partition(":")[0]
    if case == "ended":
        claim(registry, process=f"{machine}:999999999:1")
    else:
        claim(registry, process="another-machine:1:1", seconds_ago=601.0)

    with alone(registry, NAME, by="Ben", wait_seconds=0.2):
        assert [each.by for each in claims(registry, NAME)] == ["Ben"]

    assert "promoting.0" not in registry.client.get_registered_model(NAME).tags


def test_the_claim_of_another_machine_counts(registry: Registry) -> None:
    claim(registry, process="another-machine:1:1", seconds_ago=30.0)

    with pytest.raises(UserError, match="by Ann"), alone(registry, NAME, by="Ben", wait_seconds=0.1):
        pass
