"""Promotions that are killed between any two calls, and several at once: real processes on a real store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matbind.registry.promotion import promote as promotion
from matbind.registry.promotion.claim import claims
from matbind.registry.promotion.state import State, read_state
from matbind.registry.promotion.steps import settle
from matbind.registry.registry import Registry
from tests.registry.promotion.promoted import COMBINATION, NAME, add_version, evaluation, write_features
from tests.registry.registered import registry_in

# Forks before any store is opened, but with all imported: that takes longer than all the rest.
PRELUDE = """
import os, signal, sys
from pathlib import Path
import alembic.command, mlflow.artifacts, polars
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from mlflow import MlflowClient
from matbind.registry.promotion import promote as promotion
import matbind.serving.bundle

def promote(root, **options):
    promotion.promote("crystal+pxrd", to="production", features=root / "artifacts/features", root=root, **options)
"""
KILLED = (
    PRELUDE
    + """
WRITES = ("set_registered_model_tag", "delete_registered_model_tag", "set_registered_model_alias",
          "delete_registered_model_alias", "set_model_version_tag", "transition_model_version_stage")

def die_after(last):
    done = 0
    for name in WRITES:
        def counted(*arguments, _call=getattr(MlflowClient, name), **options):
            nonlocal done
            result = _call(*arguments, **options)
            done += 1
            if done == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(MlflowClient, name, counted)

for number, root in enumerate(map(Path, sys.argv[1:]), start=1):
    child = os.fork()
    if not child:
        die_after(number)
        promote(root, version=2, classic_stages=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)
AT_ONCE = (
    PRELUDE
    + """
children = []
for number in (1, 2, 3):
    child = os.fork()
    if not child:
        promote(Path(sys.argv[1]), version=number)
        os._exit(0)
    children.append(child)
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)
N_CALLS = 10  # two for the claim, entry, alias, staging alias, two stage tags, classic stage, outcome, claim


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _store(root: Path, n_versions: int) -> Registry:
    features, registry = write_features(root), registry_in(root)
    for _ in range(n_versions):
        add_version(registry, evaluation(0.5), features=features, files=root / "files")
    return registry


def _run(code: str, *arguments: Any) -> list[int]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    return [int(line) for line in done.stdout.split()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stores in which version 2 was on its way from staging to production, in place of 1; killed after each call."""
    template = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        _store(template, 2)
        own: dict[str, Any] = {"features": template / "artifacts/features", "root": template}
        promotion.promote(COMBINATION, to="production", version=1, **own)
        promotion.promote(COMBINATION, to="staging", version=2, **own)
        roots = [tmp_path_factory.mktemp(f"after-{number}") for number in range(1, N_CALLS + 2)]
        for root in roots:
            shutil.copytree(template / "artifacts", root / "artifacts")
            shutil.copy(template / "mlflow.db", root)
        assert _run(KILLED, *roots) == [-9] * N_CALLS + [0]
    return roots


def _stages(state: State) -> dict[int, str]:
    return {number: version.tags.get("stage", "none") for number, version in state.versions.items()}


@pytest.mark.parametrize("calls", range(1, N_CALLS + 1))
def test_a_promotion_that_was_killed_leaves_one_champion_and_is_completed_or_closed(
    calls: int, killed: list[Path], tmp_path: Path
) -> None:
    root = killed[calls - 1]
    registry = Registry(root)
    switched = calls >= 4

    assert read_state(registry, NAME).champion == (2 if switched else 1)
    after = settle(registry, read_state(registry, NAME), by="me")

    assert after.champion == (2 if switched else 1)
    assert after.aliases.get("staging") == (None if switched else 2)
    assert _stages(after) == ({1: "archived", 2: "production"} if switched else {1: "production", 2: "staging"})
    outcomes = [entry.outcome for entry in after.entries]
    assert outcomes == ["done", "done"] + {True: ["done"], False: []}[switched] + ["interrupted"] * (calls == 3)
    classic = registry.client.get_model_version(NAME, "2").current_stage
    assert classic == ("Production" if switched else "None")
    assert claims(registry, NAME) == []


def test_the_next_promotion_goes_on_from_there(killed: list[Path], tmp_path: Path) -> None:
    shutil.copy(killed[2] / "mlflow.db", tmp_path)

    decision = promotion.promote(
        COMBINATION, to="production", version=2, features=killed[2] / "artifacts/features", root=tmp_path
    )

    state = read_state(Registry(tmp_path), NAME)
    assert decision.is_new
    assert state.champion == 2
    assert [(each.number, each.outcome) for each in state.entries[2:]] == [(3, "interrupted"), (4, "done")]


def test_promotions_at_once_leave_one_champion_and_every_trace(tmp_path: Path) -> None:
    registry = _store(tmp_path, 3)

    assert _run(AT_ONCE, tmp_path) == [0, 0, 0]

    state = read_state(registry, NAME)
    assert [(entry.number, entry.outcome) for entry in state.entries] == [(1, "done"), (2, "done"), (3, "done")]
    order = [entry.version for entry in state.entries]
    assert sorted(order) == [1, 2, 3]
    assert [entry.replaced for entry in state.entries] == [None, *order[:2]]
    assert state.champion == order[-1]
    assert sorted(_stages(state).values()) == ["archived", "archived", "production"]
    assert claims(registry, NAME) == []
