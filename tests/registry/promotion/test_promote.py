from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.registry.promotion import promote as promotion
from matbind.registry.promotion import trail
from matbind.registry.promotion.promote import Decision, Refused
from matbind.registry.promotion.state import State, read_state
from matbind.registry.promotion.trail import acting_user, write_intent
from matbind.registry.registry import Registry
from tests.registry.promotion.promoted import COMBINATION, NAME, add_version, evaluation, write_features
from tests.registry.registered import registry_in

Add = Callable[..., int]
FULL_DISK = """
import resource, sys
from pathlib import Path
from matbind.registry.promotion import promote as promotion
from matbind.base.errors import UserError
from matbind.registry.registry import Registry
root = Path(sys.argv[1])
Registry(root)
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
try:
    promotion.promote("crystal+pxrd", to="production", features=root / "artifacts/features", root=root)
except UserError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    write_features(tmp_path)
    return registry_in(tmp_path)


@pytest.fixture
def add(registry: Registry, tmp_path: Path) -> Add:
    """Registers a version whose pairs have this recall@1, and gives its number."""

    def register(recall: float = 0.5, **options: Any) -> int:
        metrics = evaluation(recall, combination=options.pop("name", COMBINATION))
        where = {"features": tmp_path / "artifacts/features", "files": tmp_path / "files"}
        return add_version(registry, metrics, **where, **options).number

    return register


@pytest.fixture
def promote(tmp_path: Path) -> Callable[..., Decision]:
    def do(to: str = "production", name: str = COMBINATION, **options: Any) -> Decision:
        return promotion.promote(name, to=to, features=tmp_path / "artifacts/features", root=tmp_path, **options)

    return do


@pytest.fixture
def rollback(tmp_path: Path) -> Callable[..., Decision]:
    return lambda **options: promotion.rollback(COMBINATION, root=tmp_path, **options)


def stages(registry: Registry, name: str = NAME) -> dict[int, str]:
    """By version, as the tags say."""
    versions = sorted(state(registry, name).versions.items())
    return {number: version.tags.get("stage", "none") for number, version in versions}


def state(registry: Registry, name: str = NAME) -> State:
    return read_state(registry, name)


def test_the_challenger_goes_to_production(registry: Registry, add: Add, promote: Any) -> None:
    add(0.4)
    add(0.5)

    decision = promote()

    assert decision.says == f"{NAME} version 2 is in production now (mean recall@1 of version 2: aligned 0.500)"
    assert registry.aliases(NAME) == {"challenger": 2, "champion": 2}
    assert stages(registry) == {1: "none", 2: "production"}


def test_a_better_one_takes_its_place_and_the_old_one_is_archived(registry: Registry, add: Add, promote: Any) -> None:
    add(0.4)
    promote()
    add(0.5)

    assert promote().says == (
        f"{NAME} version 2 is in production now in place of version 1 (mean recall@1 of version 2: aligned 0.500, "
        "version 1: aligned 0.400)"
    )
    assert stages(registry) == {1: "archived", 2: "production"}


def test_an_equal_one_is_accepted(registry: Registry, add: Add, promote: Any) -> None:
    add(0.5)
    promote()
    add(0.5)

    assert promote().accepted
    assert state(registry).champion == 2


def test_a_worse_one_is_refused_and_nothing_is_changed(registry: Registry, add: Add, promote: Any) -> None:
    add(0.5)
    promote()
    add(0.3)

    with pytest.raises(Refused) as refused:
        promote()

    says = str(refused.value)
    assert says.startswith(f"{NAME} version 2 is not moved to production: its mean aligned recall@1 is 0.300, that of")
    assert "crystal->pxrd from 0.500 to 0.300" in says
    assert says.endswith("(--force with --reason overrides this)")
    assert "\n" not in says
    assert stages(registry) == {1: "production", 2: "none"}
    assert len(state(registry).entries) == 1


def test_one_that_hardly_beats_the_linear_baseline_needs_force(
    registry: Registry, add: Add, promote: Any, tmp_path: Path
) -> None:
    add(0.05)
    write_json(tmp_path / "metrics/comparison.json", {"baseline": evaluation(0.03)["pairs"]})

    with pytest.raises(Refused, match=r"is 0\.050, guessing reaches 0\.005, the linear baseline 0\.030, expected"):
        promote()
    assert state(registry).champion is None
    assert promote(force=True, reason="to try it").entry.overridden == ("floor",)


def test_a_worse_one_does_not_come_to_staging_either(add: Add, promote: Any) -> None:
    add(0.5)
    promote()
    add(0.3)

    with pytest.raises(Refused, match=r"version 2 is not moved to staging: its mean aligned recall@1 is 0\.300"):
        promote("staging")


def test_of_a_single_the_views_decide(add: Add, promote: Any) -> None:
    add(0.5, name="text")
    promote(name="text")
    add(0.3, name="text")

    with pytest.raises(Refused, match=r"its mean view recall@1 is 0\.300, that of version 1 in production 0\.500"):
        promote(name="text")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"tags": {"test_set_digest": "0123456789"}},
            "its evaluation is stale: it was made on the test split 01234567",
        ),
        ({"attached": {}}, f"{NAME} version 1: it has no evaluation.json"),
        ({"attached": {"combination": COMBINATION, "error": "nan"}}, "its evaluation.json is no evaluation of crystal"),
        ({"attached": evaluation(0.9)}, "is not the one that its tags speak of"),
    ],
    ids=["stale", "missing", "failed", "another"],
)
def test_what_was_not_evaluated_well_is_refused(options: dict[str, Any], says: str, add: Add, promote: Any) -> None:
    add(**options)

    with pytest.raises(Refused, match=f"version 1 is not moved to production: .*{says}"):
        promote()


def test_an_incumbent_of_another_test_split_needs_force(
    registry: Registry, add: Add, promote: Any, tmp_path: Path
) -> None:
    add(0.5)
    promote()
    write_features(tmp_path, n_test=100)
    add(0.6)

    with pytest.raises(Refused, match=r"was evaluated on another test split .* so they cannot be compared"):
        promote()
    assert promote(force=True, reason="the data grew").entry.overridden == ("comparable",)


def test_force_is_recorded_with_who_and_why(registry: Registry, add: Add, promote: Any, tmp_path: Path) -> None:
    add(0.5)
    promote()
    add(0.3)

    decision = promote(force=True, reason="the old one\nleaks test data")

    entry = state(registry).entries[-1]
    assert decision.says.endswith("; forced in spite of: mean, pairs")
    assert (entry.reason, entry.overridden) == ("the old one leaks test data", ("mean", "pairs"))
    assert entry.by == acting_user(tmp_path)
    assert {name: (means["version"], means["recall_at_1.aligned_mean"]) for name, means in entry.figures.items()} == {
        "candidate": (2, 0.3),
        "champion": (1, 0.5),
    }


def test_force_that_is_not_needed_overrides_nothing(add: Add, promote: Any) -> None:
    add()

    assert promote(force=True, reason="to be sure").entry.overridden == ()


def test_staging_then_production_is_one_stage_at_a_time(registry: Registry, add: Add, promote: Any) -> None:
    add()

    promote("staging")
    assert registry.aliases(NAME) == {"challenger": 1, "staging": 1}
    assert promote("production").entry.source == "staging"

    assert registry.aliases(NAME) == {"challenger": 1, "champion": 1}
    assert stages(registry) == {1: "production"}


def test_what_is_there_already_stays_and_leaves_no_trace(registry: Registry, add: Add, promote: Any) -> None:
    add()
    promote()

    decision = promote()

    assert (decision.accepted, decision.is_new) == (True, False)
    assert decision.says == f"{NAME} version 1 is in the stage production already"
    assert len(state(registry).entries) == 1


@pytest.mark.parametrize("before", ["staging", "none"])
def test_archiving_takes_the_alias_away(before: str, registry: Registry, add: Add, promote: Any) -> None:
    add()
    if before == "staging":
        promote("staging")

    assert promote("archived").says == f"{NAME} version 1 is archived"

    assert registry.aliases(NAME) == {"challenger": 1}
    assert stages(registry) == {1: "archived"}


def test_a_champion_that_was_replaced_is_put_away_once(registry: Registry, add: Add, promote: Any) -> None:
    for _ in range(2):
        add()
        promote()

    assert promote("archived", version=1).is_new
    assert not promote("archived", version=1).is_new


def test_archiving_the_champion_has_to_be_meant(registry: Registry, add: Add, promote: Any) -> None:
    add()
    promote()

    with pytest.raises(Refused, match="version 1 is not moved to archived: this would leave none in production"):
        promote("archived")
    promote("archived", force=True, reason="it leaks")

    assert state(registry).champion is None
    assert stages(registry) == {1: "archived"}


def test_the_champion_does_not_step_down_to_staging(add: Add, promote: Any) -> None:
    add()
    promote()

    with pytest.raises(UserError, match="version 1 is in production, expected another one for staging"):
        promote("staging", force=True, reason="why not")


def test_rollback_gives_production_back_step_by_step(registry: Registry, add: Add, promote: Any, rollback: Any) -> None:
    for _ in range(3):
        add()
        promote()

    assert rollback(reason="slow").says.startswith(f"{NAME} version 2 is in production now in place of version 3")
    assert stages(registry) == {1: "archived", 2: "production", 3: "archived"}
    rollback()
    assert state(registry).champion == 1
    with pytest.raises(UserError, match=f"{NAME} has version 1 in production and none before it"):
        rollback()
    assert [(entry.action, entry.version, entry.reason) for entry in state(registry).entries[3:]] == [
        ("rollback", 2, "slow"),
        ("rollback", 1, ""),
    ]


def test_rollback_passes_over_what_was_archived_by_hand(
    registry: Registry, add: Add, promote: Any, rollback: Any
) -> None:
    for _ in range(3):
        add()
        promote()
    promote("archived", version=3, force=True, reason="broken")
    promote("archived", version=2)

    rollback()

    assert state(registry).champion == 1


def test_rollback_after_a_promotion_after_a_rollback(registry: Registry, add: Add, promote: Any, rollback: Any) -> None:
    for _ in range(2):
        add()
        promote()
    rollback()
    promote(version=add())

    rollback()

    assert state(registry).champion == 1


def test_nothing_to_go_back_to_is_said(add: Add, rollback: Any) -> None:
    add()

    with pytest.raises(UserError, match=f"{NAME} has no version in production and none before it"):
        rollback()


def test_the_trail_is_in_order_and_tells_all(registry: Registry, add: Add, promote: Any, rollback: Any) -> None:
    add()
    promote("staging", reason="to try")
    promote("production")
    promote("production", version=add())
    rollback()

    steps = [
        (entry.number, entry.action, entry.version, entry.source, entry.to, entry.replaced, entry.outcome)
        for entry in state(registry).entries
    ]
    assert steps == [
        (1, "promote", 1, "none", "staging", None, "done"),
        (2, "promote", 1, "staging", "production", None, "done"),
        (3, "promote", 2, "none", "production", 1, "done"),
        (4, "rollback", 1, "archived", "production", 2, "done"),
    ]
    assert sorted(entry.at for entry in state(registry).entries) == [entry.at for entry in state(registry).entries]
    assert [gate.name for gate in state(registry).entries[2].gates] == [
        "evaluation",
        "attached",
        "floor",
        "test_split",
        "comparable",
        "mean",
        "pairs",
    ]


def test_a_first_champion_that_somebody_else_set_meanwhile_is_left_there(
    registry: Registry, add: Add, promote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add()

    def refused(*_: Any) -> None:
        cause = RuntimeError("(sqlite3.IntegrityError) UNIQUE constraint failed: registered_model_aliases.name")
        raise UserError("the registry of models cannot be used") from cause

    monkeypatch.setattr(Registry, "set_alias", refused)

    with pytest.raises(UserError, match=rf"^{NAME}: somebody else set the alias champion meanwhile, "):
        promote(version=1)

    assert [entry.outcome for entry in state(registry).entries] == ["interrupted"]


def test_a_champion_that_somebody_else_moved_meanwhile_is_left_there(
    registry: Registry, add: Add, promote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        add()
    promote(version=1)
    versions = state(registry).versions

    def moved(*arguments: Any) -> str:
        registry.set_alias(versions[2], "champion")
        return write_intent(*arguments)

    monkeypatch.setattr(trail, "write_intent", moved)

    with pytest.raises(
        UserError, match=rf"^{NAME}: somebody else moved the alias champion from version 1 to version 2 meanwhile, "
    ):
        promote(version=3)

    assert state(registry).champion == 2
    assert [entry.outcome for entry in state(registry).entries] == ["done", "interrupted"]


@pytest.mark.parametrize(
    ("cause", "warning"),
    [
        ("(sqlite3.IntegrityError) UNIQUE constraint failed: model_version_tags.key", ""),
        ("the disk is full", " (warning: the tag stage of version 1 is not up to date, the alias is: no tags today)"),
    ],
    ids=["written at once", "full disk"],
)
def test_a_stage_tag_that_cannot_be_written_fails_no_promotion(
    cause: str, warning: str, add: Add, promote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise UserError("no tags today") from RuntimeError(cause)

    add()
    monkeypatch.setattr(Registry, "set_tags", refuse)

    says = promote().says

    assert says == f"{NAME} version 1 is in production now (mean recall@1 of version 1: aligned 0.500){warning}"


def test_classic_stages_are_set_and_kept_up(registry: Registry, add: Add, promote: Any, rollback: Any) -> None:
    add()
    promote(classic_stages=True)
    promote(version=add())
    rollback()

    current = {n: registry.client.get_model_version(NAME, str(n)).current_stage for n in (1, 2)}
    assert current == {1: "Production", 2: "Archived"}


def test_without_classic_stages_there_are_none(registry: Registry, add: Add, promote: Any) -> None:
    add()
    promote()

    assert registry.client.get_model_version(NAME, "1").current_stage == "None"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "crystal+dos"}, rf"no registered model crystal\+dos, expected one of {NAME}$"),
        ({"to": "prod"}, "--to is 'prod', expected one of staging, production, archived"),
        ({"version": 7}, f"{NAME} has no version 7, expected one of {NAME}@challenger, {NAME}/1"),
        ({"force": True}, "--force is given without --reason"),
        ({"force": True, "reason": " \n"}, "--force is given without --reason"),
        ({"reason": "x" * 501}, "--reason has 501 characters, expected at most 500"),
    ],
)
def test_mistakes_are_one_sentence(options: dict[str, Any], says: str, add: Add, promote: Any) -> None:
    add()

    with pytest.raises(UserError, match=says):
        promote(**options)


def test_a_store_without_models_is_said(registry: Registry, promote: Any) -> None:
    with pytest.raises(UserError, match="none is registered yet: make run"):
        promote()


def test_a_name_is_as_good_as_its_combination(registry: Registry, add: Add, promote: Any) -> None:
    add()

    promote(name=NAME)
    promote(name="pxrd+crystal")

    assert state(registry).champion == 1


def test_a_database_that_can_only_be_read(
    add: Add, promote: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true")

    with pytest.raises(
        UserError, match=r"^the registry of models cannot be used: .*mode=ro&uri=true can only be read$"
    ):
        promote()


def test_a_server_that_is_away(promote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and never listened on: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

        with pytest.raises(UserError, match=f"^the registry of models cannot be used: {address} does not answer$"):
            promote()


def test_a_full_disk(registry: Registry, add: Add, tmp_path: Path) -> None:
    add()

    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, env={**os.environ}
    )

    assert done.stdout == f"the registry of models cannot be used: the disk of {tmp_path}/mlflow.db is full\n"
    assert state(registry).entries == []
