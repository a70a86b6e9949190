from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matbind.registry.promotion.gates import Gate
from matbind.registry.promotion.trail import DOCUMENT, EXPERIMENT, Entry, checked_reason, read_trail, write_intent
from matbind.registry.registry import Registry
from tests.registry.registered import registry_in

NAME = "matbind-text"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return registry_in(tmp_path)


def entry(number: int = 1, **changes: Any) -> Entry:
    content: dict[str, Any] = {
        "at": f"2025-01-0{number}T00:00:00.000+00:00",
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
        "classic_stages": True,
    }
    return Entry(number=number, **content | changes)


def runs(registry: Registry, terms: str) -> list[Any]:
    experiment = registry.client.get_experiment_by_name(EXPERIMENT)
    return list(registry.client.search_runs([experiment.experiment_id], terms))


@pytest.mark.parametrize(("status", "outcome"), [("FINISHED", "done"), ("FAILED", "interrupted")])
def test_what_is_written_is_read_with_its_outcome(
    status: str, outcome: str, registry: Registry, tmp_path: Path
) -> None:
    run_id = write_intent(tmp_path, NAME, entry())
    assert read_trail(registry, NAME, {}) == ([entry()], "")

    registry.client.set_terminated(run_id, status)

    assert read_trail(registry, NAME, {}) == ([entry(outcome=outcome)], "")


def test_the_trail_is_of_one_model_and_in_order(registry: Registry, tmp_path: Path) -> None:
    for number in (2, 1):
        write_intent(tmp_path, NAME, entry(number))
    write_intent(tmp_path, "matbind-dos", entry(3))

    assert read_trail(registry, NAME, {})[0] == [entry(1), entry(2)]


@pytest.mark.parametrize(
    "terms",
    [
        "tags.model = 'matbind-text' and tags.version = '2'",
        "tags.who = 'Ann' and tags.why = 'größer'",
        "tags.stage = 'production' and tags.from_version = '1'",
        "tags.decision = 'promote' and tags.forced = 'mean'",
    ],
)
def test_it_is_searched_on_the_page_of_mlflow(terms: str, registry: Registry, tmp_path: Path) -> None:
    write_intent(tmp_path, NAME, entry())

    assert [run.info.run_name for run in runs(registry, terms)] == ["matbind-text 2 to production"]


def test_the_page_of_a_promotion_begins_with_words_and_tables(registry: Registry, tmp_path: Path) -> None:
    write_intent(tmp_path, NAME, entry())

    [run] = runs(registry, f"tags.model = '{NAME}'")
    assert run.data.tags["mlflow.note.content"].splitlines() == [
        "By Ann at 2025-01-01T00:00:00.000+00:00, because größer.",
        "",
        "| condition | met |  |",
        "| --- | --- | --- |",
        "| mean | no, overridden | lower |",
        "",
        "| mean recall@1 | version | aligned | emergent | view |",
        "| --- | --- | --- | --- | --- |",
        "| candidate | 2 | 0.500 |  |  |",
    ]


def test_a_store_without_promotions_has_an_empty_trail(registry: Registry) -> None:
    assert read_trail(registry, NAME, {"owner": "Ann"}) == ([], "")


def test_promotions_in_tags_of_the_model_are_told_and_not_shown(registry: Registry, tmp_path: Path) -> None:
    write_intent(tmp_path, NAME, entry(1))

    entries, unread = read_trail(registry, NAME, {"promotion.0001.0a": "{}"})

    assert entries == [entry(1)]
    assert unread == (
        "matbind-text: an earlier version of matbind kept promotions in its tags, which cannot be shown any more; the "
        "aliases still count"
    )


@pytest.mark.parametrize("content", ["no JSON", "{}", "[]"])
def test_one_that_somebody_changed_is_said_and_left_out(content: str, registry: Registry, tmp_path: Path) -> None:
    run_id = write_intent(tmp_path, NAME, entry(1))
    write_intent(tmp_path, NAME, entry(2))
    registry.client.set_tag(run_id, DOCUMENT, content)

    entries, unread = read_trail(registry, NAME, {})

    assert [promotion.at for promotion in entries] == [entry(2).at]
    assert unread.startswith(f"matbind-text: its run {run_id} holds no promotion that can be read (")
    assert "\n" not in unread


def test_a_reason_is_one_line() -> None:
    assert checked_reason(" it\n leaks ") == "it leaks"
