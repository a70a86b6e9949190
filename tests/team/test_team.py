"""What a team shares: one tracking server, and MLflow, Optuna and Prefect on one PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matbind.base.provenance import process_fingerprint
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.tracking.runs import PARENT
from matbind.tracking.tracker import Tracker

MEMBER = """
import sys
from pathlib import Path
from matbind.settings import load as settings_module; from matbind.tracking import tracker as tracking
from matbind.modalities.combinations import parse_combination
root, params = Path(sys.argv[1]), Path(sys.argv[2])
root.mkdir()
settings = settings_module.load(params, preset="smoke")
tracker = tracking.Tracker(warn=sys.exit, root=root)
parent = tracker.start_ablation(settings, fingerprint=sys.argv[1], is_done=False)
for name in ("dos", "crystal+dos"):
    run_id = tracker.start_combination(parent, settings, parse_combination(name), 0)
    tracker.log_epoch(run_id, {"epoch": 1.0, "loss": 2.0})
    q, k = ("dos", "dos") if name == "dos" else ("dos", "crystal")
    result = {"kind": "view" if q == k else "aligned", "recall_at_1": 0.5, "recall_at_5": 0.75, "n": 18}
    evaluation = {"combination": name, "hub": k, "pairs": {f"{q}->{k}": result}, "member": sys.argv[1]}
    tracker.finish_combination(run_id, evaluation, [params])
tracker.finish_ablation(parent)
"""
STUDY = """
import sys
from pathlib import Path
from tests.training.tuning.test_storage import Workspace

storage, directory, name = sys.argv[1:]
workspace = Workspace(Path(directory), storage=storage, name=name, resume=name == "informed")
workspace.run(*range(4))
assert not workspace.warnings, workspace.warnings
assert workspace.study.n_earlier == (8 if name == "informed" else 0)
"""
FLOW = """
from prefect import flow
from pipelines.server import api_server

@flow(name="shared")
def shared() -> int:
    return 1

with api_server() as wait_until_it_answers:
    wait_until_it_answers()
    shared()
"""


def _run(code: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PREFECT"))}
    search = os.pathsep.join([str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**variables, "PYTHONPATH": search, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _both(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0, output


def _runs(address: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(address)
    return list(client.search_runs([client.get_experiment_by_name("matbind").experiment_id]))


def _track(address: str, tmp_path: Path, params: Path, *members: str) -> None:
    """Let members of a team run an ablation each, all at a time."""
    shared = {"MLFLOW_TRACKING_URI": address}
    _both(*(_run(MEMBER, str(tmp_path / name), str(params), environment=shared) for name in members))
    runs = _runs(address)
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = {run.info.run_id for run in runs if PARENT not in run.data.tags}
    children = [(run.data.tags[PARENT], run.info.run_name) for run in runs if PARENT in run.data.tags]
    assert sorted(children) == sorted((parent, name) for parent in parents for name in ("dos", "crystal+dos"))
    assert len(parents) == len(members)


def test_runs_and_files_go_to_a_tracking_server(
    tmp_path: Path, project_root: Path, mlflow_server: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    address = mlflow_server(f"sqlite:///{tmp_path}/server.db")
    _track(address, tmp_path, project_root / "params.yaml", "ann")

    client = MlflowClient(address)
    run = next(run for run in _runs(address) if run.info.run_name == "dos")
    assert "params.yaml" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")

    # The live run of another machine is left alone; one that a dead process of this machine left is closed.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mine = Tracker(warn=pytest.fail, root=tmp_path)
    settings = settings_module.load(project_root / "params.yaml", preset="smoke")
    fingerprints = {
        "dos": process_fingerprint(),
        "text": "another-machine:1:1",
        "pxrd": process_fingerprint().rsplit(":", 2)[0] + ":1:1",
    }
    ids = {name: mine.start_combination(None, settings, parse_combination(name), 0) for name in fingerprints}
    for name, fingerprint in fingerprints.items():
        client.set_tag(ids[name], "matbind.process", fingerprint)
    Tracker(warn=pytest.fail, root=tmp_path)
    assert {name: client.get_run(run_id).info.status for name, run_id in ids.items()} == {
        "dos": "RUNNING",
        "text": "RUNNING",
        "pxrd": "FAILED",
    }


def test_two_members_track_into_one_postgres(
    tmp_path: Path, project_root: Path, postgres: Any, mlflow_server: Callable[[str], str]
) -> None:
    _track(mlflow_server(postgres.url("mlflow")), tmp_path, project_root / "params.yaml", "ann", "ben")

    assert postgres.count("mlflow", "SELECT count(*) FROM runs") == 6


def test_two_workspaces_share_a_study_in_postgres(tmp_path: Path, postgres: Any) -> None:
    url = postgres.url("optuna")
    _both(_run(STUDY, url, str(tmp_path / "first"), "alone"))  # makes the tables, and has to be alone
    _both(*(_run(STUDY, url, str(tmp_path / member), "shared") for member in ("ann", "ben")))
    _both(_run(STUDY, url, str(tmp_path / "ann"), "informed"))

    assert postgres.count("optuna", "SELECT count(*) FROM studies") == 3
    assert postgres.count("optuna", "SELECT count(*) FROM trials WHERE state = 'COMPLETE'") == 3 * 4
    assert postgres.count("optuna", "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0


def test_flows_are_kept_in_postgres(tmp_path: Path, postgres: Any) -> None:
    environment = {
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.url("prefect", "postgresql+asyncpg"),
        "PREFECT_HOME": str(tmp_path),
    }
    _both(_run(FLOW, environment=environment))

    assert postgres.count("prefect", "SELECT count(*) FROM flow_run") == 1
    assert list(tmp_path.glob("prefect.db")) == []


def test_a_postgres_that_is_away_costs_one_sentence(
    tmp_path: Path, postgres: Any, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.url("nowhere"))
    said: list[str] = []

    assert Tracker(warn=said.append, root=tmp_path)._runs is None
    (sentence,) = said
    assert sentence.startswith("MLflow cannot be used (postgresql+psycopg://matbind@127.0.0.1:")
    assert "secret" not in sentence
