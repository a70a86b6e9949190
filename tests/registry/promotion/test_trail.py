from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matbind.base.errors import UserError
from matbind.registry.promotion.gates import Gate
from matbind.registry.promotion.trail import Entry, checked_reason, read_entries, write_entry, write_outcome
from matbind.registry.registry import Registry
from tests.registry.registered import registry_in

NAME = "matbind-text"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = registry_in(tmp_path)
    found.client.create_registered_model(NAME)
    return found


def entry(number: int = 1, token: str = "0a", **changes: Any) -> Entry:  # noqa: S107  # of a claim, no secret
    own: dict[str, Any] = {
        "at": "2025-01-01T00:00:00.000+00:00",
        "by": "Ann",
        "action": "promote",
        "version": 2,
        "source": "none",
        "to": "production",
        "alias": "champion",
        "replaced": 1,
        "reason": "größer",
        "gates": (Gate("mean", passed=False, says="lower"),),
        "overridden": ("mean",),
        "figures": {"candidate": {"version": 2, "recall_at_1.aligned_mean": 0.5}},
        "classic": True,
    }
    return Entry(number=number, token=token, **own | changes)


def read(registry: Registry) -> list[Entry]:
    return read_entries(NAME, registry.client.get_registered_model(NAME).tags)


def test_what_is_written_is_read_with_its_outcome(registry: Registry) -> None:
    write_entry(registry, NAME, entry())
    assert read(registry) == [entry()]

    write_outcome(registry, NAME, entry(), "done", by="Ben")

    assert read(registry) == [entry(outcome="done")]


def test_entries_of_one_number_do_not_overwrite_each_other(registry: Registry) -> None:
    later = entry(token="0b", at="2025-01-01T00:00:00.001+00:00")  # noqa: S106  # of a claim, no secret
    for each in (entry(2), later, entry()):
        write_entry(registry, NAME, each)

    assert read(registry) == [entry(), later, entry(2)]


def test_the_longest_entry_is_one_that_every_database_takes(registry: Registry) -> None:
    gates = tuple(Gate(name, passed=False, says="ß" * 9999) for name in ("attached", "evaluation", "test_split"))
    gates += tuple(Gate(name, passed=False, says="x" * 9999) for name in ("comparable", "mean", "pairs"))
    figures = {f"recall_at_1.{kind}_mean": 0.1234 for kind in ("aligned", "emergent", "view")} | {"version": 1234}
    names = tuple(gate.name for gate in gates)
    longest = entry(
        by="x" * 999,
        reason="y" * 500,
        gates=gates,
        overridden=names,
        figures={"candidate": figures, "champion": figures},
    )

    write_entry(registry, NAME, longest)

    tags = registry.client.get_registered_model(NAME).tags
    assert len(tags["promotion.0001.0a"]) <= 5000
    assert read(registry)[0].gates[0].says == "ß" * 400


@pytest.mark.parametrize("content", ["no JSON", "{}", "[]"])
def test_an_entry_that_somebody_changed_is_said(content: str) -> None:
    with pytest.raises(UserError, match=r"^matbind-text: its tag promotion.0001.0a or .* holds no promotion"):
        read_entries(NAME, {"promotion.0001.0a": content})


def test_other_tags_are_no_entries() -> None:
    assert read_entries(NAME, {"promotion.note": "x", "owner": "Ann", "promoting.0a": "{}"}) == []


def test_a_reason_is_one_line() -> None:
    assert checked_reason(" it\n leaks ") == "it leaks"
