from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from matbind.base.errors import StageError, UserError
from pipelines.experiment import experiment, reproduce
from tests.pipelines.page import artifact

pytestmark = pytest.mark.usefixtures("prefect_api_url")

STAGE = """
import json, os, pathlib, sys, yaml
seed = yaml.safe_load(open("params.yaml"))["seed"]
if seed < 0:
    sys.stderr.write(f"matbind: params.yaml: seed is {seed}\\n")
    sys.exit(2)
pathlib.Path("metrics").mkdir(exist_ok=True)
means = {"crystal+dos": {"aligned": seed / 10}, "dos": {"view": 0.75}}
pathlib.Path("metrics/recall.json").write_text(json.dumps(means))
pathlib.Path("metrics/name.txt").write_text(os.environ.get("DVC_EXP_NAME", "none"))
"""
PIPELINE = """
stages:
  ablate:
    cmd: python stage.py
    deps: [stage.py]
    params: [seed]
    outs: [metrics]
"""
POINTER = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: data/dos.parquet\n  remote: away\n  hash: md5\n"


IDENTITY = {f"GIT_{who}_{what}": "n@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one stage whose remote does not exist."""
    root = tmp_path_factory.mktemp("template")
    files = {"stage.py": STAGE, "dvc.yaml": PIPELINE, "data.dvc": POINTER, "params.yaml": "seed: 2\n"}
    files |= {".gitignore": "/metrics\n/data\n/mlflow.db*\n/mlartifacts\n", "data/dos.parquet": "kept"}
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    for command in ("git init -q", f"{sys.executable} -m dvc init -q", "git add .", "git commit -q -m first"):
        subprocess.run(command.split(), check=True, cwd=root, env=os.environ | IDENTITY)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, where a second try does not wait."""
    for variable in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in IDENTITY.items():
        monkeypatch.setenv(variable, value)
    root = shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(root)
    monkeypatch.setattr(reproduce, "retry_delay_seconds", 0)
    return root


def test_data_that_cannot_be_pulled_but_are_here_do_not_stop_it(
    project: Path, prefect_api_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    experiment()

    out = capfd.readouterr().out
    assert "[experiment] data.dvc: the data cannot be pulled: " in out
    assert "; going on with the data that are here\n" in out
    assert "[experiment] crystal+dos: test recall@1 aligned 0.200\n" in out
    assert (project / "data/dos.parquet").read_text() == "kept"
    assert artifact(prefect_api_url, "recall") == [
        {"combination": "crystal+dos", "aligned": 0.2, "view": ""},
        {"combination": "dos", "aligned": "", "view": 0.75},
    ]


def test_a_changed_setting_makes_a_dvc_experiment_whose_name_the_stages_know(project: Path) -> None:
    (project / "data.dvc").unlink()

    experiment(changes=["seed=7"], name="seven", pull_data=False)

    assert (project / "metrics/name.txt").read_text() == "seven"
    assert json.loads((project / "metrics/recall.json").read_text())["crystal+dos"]["aligned"] == 0.7
    shown = subprocess.run(["git", "for-each-ref", "refs/exps"], check=True, capture_output=True, text=True).stdout
    assert "/seven\n" in shown


def test_a_failed_stage_is_named_with_its_reason(project: Path) -> None:
    (project / "params.yaml").write_text("seed: 1\n")
    (project / "stage.py").write_text("raise SystemExit('matbind: it broke')\n")

    with pytest.raises(StageError, match=r"^stage ablate failed with exit code 1: .*matbind: it broke$"):
        experiment(pull_data=False)


def test_a_users_mistake_in_a_stage_stays_one(project: Path) -> None:
    (project / "params.yaml").write_text("seed: -1\n")

    with pytest.raises(UserError, match=r"^stage ablate failed with exit code 2: .*params.yaml: seed is -1$"):
        experiment(pull_data=False)


def test_without_data_and_a_remote_it_does_not_begin(project: Path) -> None:
    (project / "data/dos.parquet").unlink()

    with pytest.raises(UserError, match=r"^data.dvc: the data cannot be pulled: .*away"):
        experiment()


def test_a_push_to_an_unknown_remote_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"^the results cannot be pushed to nowhere: "):
        experiment(pull_data=False, push_to="nowhere")


def test_a_change_without_a_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--set seed: found no key and value"):
        experiment(changes=["seed"])


def test_a_schedule_that_is_none_is_refused(project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.experiment", "serve", "--cron", "at night"],
        env={**os.environ, "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("matbind: --cron 'at night'")
    assert done.stderr.count("\n") == 1


def test_a_schedule_makes_runs(tmp_path: Path, project_root: Path) -> None:
    """Served by a server of its own, whose database is read: what waits there is what will run."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
    search = os.pathsep.join([str(project_root), os.environ.get("PYTHONPATH", "")])
    serving = subprocess.Popen(
        [sys.executable, "-m", "pipelines.experiment", "serve", "--cron", "7 3 * * *", "--timezone", "Europe/Berlin"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": search, "PREFECT_HOME": str(tmp_path / ".prefect")},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (moments := _scheduled(tmp_path / ".prefect/prefect.db")):
            assert serving.poll() is None
            assert time.monotonic() < deadline
            time.sleep(1)
    finally:
        serving.terminate()
        code = serving.wait()

    assert {moment.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") for moment in moments} == {"03:07"}
    assert code == 0


def test_the_schedule_keeps_its_deployment(project_root: Path, prefect_api_url: str) -> None:
    served = [_served(project_root, prefect_api_url, cron) for cron in ("7 3 * * *", "8 4 * * *")]

    first, second = served
    assert first["id"] == second["id"]
    assert [schedule["schedule"]["cron"] for schedule in second["schedules"]] == ["8 4 * * *"]
    assert second["global_concurrency_limit"]["limit"] == 1


def _served(project_root: Path, api_url: str, cron: str) -> dict[str, Any]:
    """Serve until the deployment has this schedule."""
    environment = {**os.environ, "PREFECT_API_URL": api_url}
    environment["PYTHONPATH"] = os.pathsep.join([str(project_root), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pipelines.experiment", "serve", "--cron", cron]
    serving = subprocess.Popen(command, cwd=project_root, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            assert serving.poll() is None
            assert time.monotonic() < deadline
            deployment = httpx.get(f"{api_url}/deployments/name/experiment/scheduled").json()
            active = [schedule for schedule in deployment.get("schedules", []) if schedule["active"]]
            if not deployment.get("paused") and [schedule["schedule"]["cron"] for schedule in active] == [cron]:
                break
            time.sleep(0.2)
    finally:
        serving.terminate()
        _, errors = serving.communicate()
    assert (serving.returncode, errors) == (0, "")
    return dict(deployment)


def _scheduled(database: Path) -> list[datetime]:
    if not database.exists():
        return []
    query = "SELECT expected_start_time FROM flow_run WHERE state_type = 'SCHEDULED'"
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return [datetime.fromisoformat(moment).replace(tzinfo=UTC) for (moment,) in connection.execute(query)]
    except sqlite3.OperationalError:  # its tables are being made
        return []
