"""What goes wrong with a store is told in one sentence; the training goes on and its runs are added later."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from matbind.base.files import write_json
from matbind.modalities.combinations import parse_combination
from matbind.settings import load as settings_module
from matbind.tracking.store import project_of, reason_of, tracking_uri
from matbind.tracking.tracker import Tracker

TRAINING = """
import resource, sys
from pathlib import Path
from matbind.settings import load as settings; from matbind.tracking import tracker as tracking
from matbind.modalities.combinations import parse_combination
root, params = map(Path, sys.argv[1:])
tracker = tracking.Tracker(warn=print, root=root)
own = settings.load(params, preset="smoke")
run_id = tracker.start_combination(None, own, parse_combination("dos"), 0)
largest = max(path.stat().st_size for path in root.glob("mlflow.db*"))
resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 4096, largest + 4096))
for epoch in range(1, 2000):
    tracker.log_epoch(run_id, {"epoch": epoch, **{f"loss.{i}": float(i) for i in range(50)}})
    if tracker._runs is None:
        break
(root / "model.bin").write_bytes(b"kept")
print(tracker._runs is not None)
"""


def _track(root: Path, params: Path) -> list[str]:
    said: list[str] = []
    tracker = Tracker(warn=said.append, root=root)
    run_id = tracker.start_combination(None, settings_module.load(params, preset="smoke"), parse_combination("dos"), 0)
    tracker.log_epoch(run_id, {"epoch": 1.0, "loss": 1.0})
    assert run_id is None
    assert tracker._runs is None
    return said


def test_a_directory_in_the_place_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project_root: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").mkdir()

    (sentence,) = _track(tmp_path, project_root / "params.yaml")

    assert sentence.startswith(f"MLflow cannot be used ({tmp_path}/mlflow.db cannot be opened as a database);")
    assert "\n" not in sentence


def test_a_database_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project_root: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Tracker(warn=pytest.fail, root=tmp_path)._runs is not None
    uri = f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    (sentence,) = _track(tmp_path, project_root / "params.yaml")

    assert sentence.startswith("MLflow cannot be used (")
    assert "mode=ro&uri=true can only be read); nothing is lost" in sentence


def test_a_server_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project_root: Path) -> None:
    with socket.socket() as taken:  # bound and never listened on: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

        (sentence,) = _track(tmp_path, project_root / "params.yaml")

    assert sentence.startswith(f"MLflow cannot be used ({address} does not answer); nothing is lost")


def test_a_full_disk_stops_the_record_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project_root: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params = project_root / "params.yaml"
    settings = settings_module.load(params, preset="smoke")

    done = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path), str(params)],
        env=os.environ | {"PYTHONPATH": str(project_root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    sentence, state = done.stdout.splitlines()
    assert sentence.startswith(f"MLflow cannot be used (the disk of {tmp_path}/mlflow.db is full); nothing is lost")
    assert state == "False"
    assert (tmp_path / "model.bin").read_bytes() == b"kept"

    pairs = {"dos->dos": {"kind": "view", "recall_at_1": 0.5, "recall_at_5": 0.75, "n": 18}}
    evaluation = {"combination": "dos", "seed": 0, "hub": "dos", "run_id": None, "pairs": pairs}
    write_json(tmp_path / "metrics/dos.json", {**evaluation, "seeds": [0], "trainings": [evaluation]})
    write_json(tmp_path / "models/dos/seed-0/settings.json", settings.model_dump(mode="json"))
    assert Tracker(warn=pytest.fail, root=tmp_path).backfill(tmp_path / "models", tmp_path / "metrics") == 1


def test_the_password_of_a_database_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:secret@db.example.org/mlflow")

    assert reason_of(OSError("could not connect to server")) == (
        "postgresql://ann@db.example.org/mlflow does not answer"
    )


def test_an_unknown_failure_is_told_by_its_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert reason_of(ValueError("odd\nmore"), tmp_path) == f"{tmp_path}/mlflow.db: odd"


def test_a_dvc_experiment_in_a_temporary_copy_writes_to_the_store_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-cage")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_stage_outside_an_experiment_uses_the_store_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    assert project_of() == Path()
