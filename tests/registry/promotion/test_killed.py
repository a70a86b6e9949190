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
from matbind.registry.promotion.state import State, read_state
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
from matbind.base.errors import UserError
from matbind.registry.promotion import promote as promotion
import matbind.serving.bundle

def promote(root, **options):
    promotion.promote("crystal+pxrd", to="production", features=root / "artifacts/features", root=root, **options)
"""
KILLED = (
    PRELUDE
    + """
WRITES = ("create_run", "set_terminated", "set_registered_model_alias", "delete_registered_model_alias",
          "set_model_version_tag", "transition_model_version_stage")

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
        try:
            promote(Path(sys.argv[1]), version=number)
        except UserError as error:
            assert "meanwhile" in str(error), error
            os._exit(2)
        os._exit(0)
    children.append(child)
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)
N_CALLS = 7  # intent, alias, outcome, staging alias, two stage tags, classic stage


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
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
        where: dict[str, Any] = {"features": template / "artifacts/features", "root": template}
        promotion.promote(COMBINATION, to="production", version=1, **where)
        promotion.promote(COMBINATION, to="staging", version=2, **where)
        roots = [tmp_path_factory.mktemp(f"after-{number}") for number in range(1, N_CALLS + 2)]
        for root in roots:
            shutil.copytree(template / "artifacts", root / "artifacts")
            shutil.copy(template / "mlflow.db", root)
        assert _run(KILLED, *roots) == [-9] * N_CALLS + [0]
    return roots


def _tags(state: State) -> dict[int, str]:
    return {number: version.tags.get("stage", "none") for number, version in state.versions.items()}


@pytest.mark.parametrize("calls", range(1, N_CALLS + 1))
def test_a_promotion_that_was_killed_leaves_the_old_champion_or_the_new_one(calls: int, killed: list[Path]) -> None:
    state = read_state(Registry(killed[calls - 1]), NAME)
    is_switched = calls > 1

    assert state.champion == (2 if is_switched else 1)
    assert [state.stage(number) for number in (1, 2)] == (
        ["archived", "production"] if is_switched else ["production", "staging"]
    )
    assert [entry.outcome for entry in state.entries] == ["done", "done", "done" if is_switched else "intended"]


@pytest.mark.parametrize("calls", range(1, N_CALLS + 1))
def test_the_next_promotion_goes_on_from_there(calls: int, killed: list[Path], tmp_path: Path) -> None:
    shutil.copy(killed[calls - 1] / "mlflow.db", tmp_path)
    features = killed[calls - 1] / "artifacts/features"

    promotion.promote(COMBINATION, to="production", version=2, features=features, root=tmp_path)

    state = read_state(Registry(tmp_path), NAME)
    assert state.aliases == {"challenger": 2, "champion": 2}
    assert _tags(state) == {1: "archived", 2: "production"}
    promotion.rollback(COMBINATION, root=tmp_path)
    assert read_state(Registry(tmp_path), NAME).champion == 1


def test_of_promotions_at_once_those_that_come_too_late_are_refused(tmp_path: Path) -> None:
    registry = _store(tmp_path, 3)

    codes = dict(enumerate(_run(AT_ONCE, tmp_path), start=1))

    state = read_state(registry, NAME)
    moved = {number for number, code in codes.items() if code == 0}
    assert set(codes.values()) <= {0, 2}
    assert {entry.version for entry in state.carried_out} == moved
    assert {entry.version for entry in state.entries} == {1, 2, 3}
    assert state.champion in moved
