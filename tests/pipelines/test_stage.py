from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prefect import task

from matbind.base.errors import StageError, UserError
from matbind.settings.load import load
from matbind.settings.params import Settings
from pipelines.stage import reporter, run, stage
from tests.pipelines.page import logs, newest_run


@stage
def fine(settings: Settings) -> str:
    """Return what the settings say."""
    reporter("fine")(f"preset {settings.preset}")
    return settings.preset


@stage
def users_mistake(settings: Settings) -> None:
    """Find a mistake in the data."""
    raise UserError(f"{settings.prepare.data}: row 3 has no lattice, expected 9 numbers")


@stage
def talkative(settings: Settings) -> None:
    """Say something wherever a stage can."""
    log = reporter("talkative")
    log("in the flow: 100 %")

    @task
    def inside() -> None:
        log("in a task")

    inside()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(log, "in a thread").result()


@stage
def our_failure(settings: Settings) -> None:
    """Fail for a reason that is told."""
    raise StageError(f"preset {settings.preset} failed")


@pytest.fixture
def params(project_root: Path) -> Path:
    return project_root / "params.yaml"


@pytest.fixture(autouse=True)
def _signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("prefect_api_url")
def test_a_stage_is_told_the_settings(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(fine, params)

    assert capsys.readouterr().out == f"[fine] preset {load(params).preset}\n"


def test_its_runs_are_named_for_people(params: Path, prefect_api_url: str) -> None:
    run(fine, params)

    asked = {"flows": {"name": {"any_": ["fine"]}}}
    runs = httpx.post(f"{prefect_api_url}/flow_runs/filter", json=asked).json()
    assert all(re.fullmatch(r"fine \d{4}-\d\d-\d\d \d\d:\d\d", flow_run["name"]) for flow_run in runs)
    assert runs


def test_every_sentence_is_on_the_page_and_only_those_are_printed(
    params: Path, prefect_api_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ["in the flow: 100 %", "in a task", "in a thread"]

    run(talkative, params)

    flow_run = newest_run(prefect_api_url, "talkative")
    lines = {line["message"]: line for line in logs(prefect_api_url, flow_run["id"], until={*said})}
    assert [lines[sentence]["task_run_id"] is not None for sentence in said] == [False, True, False]
    assert capfd.readouterr() == ("".join(f"[talkative] {sentence}\n" for sentence in said), "")


def test_the_page_says_what_a_stage_failed_of(params: Path, prefect_api_url: str) -> None:
    with pytest.raises(SystemExit):
        run(our_failure, params)

    state = newest_run(prefect_api_url, "our_failure")["state"]
    assert state["type"] == "FAILED"
    assert state["message"].endswith(f"preset {load(params).preset} failed")


@pytest.mark.usefixtures("prefect_api_url")
def test_a_users_mistake_inside_a_flow_is_one_sentence(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(users_mistake, params)

    assert ended.value.code == 2
    expected = f"matbind: {load(params).prepare.data}: row 3 has no lattice, expected 9 numbers\n"
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("prefect_api_url")
def test_another_failure_has_another_exit_code(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(our_failure, params)

    assert ended.value.code == 1
    assert capsys.readouterr().err == f"matbind: preset {load(params).preset} failed\n"


def test_a_mistake_in_the_settings_is_told_before_anything_starts(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((project_root / "params.yaml").read_text() + "\ntemprature: 0.1\n")

    done = subprocess.run(
        [sys.executable, "-m", "pipelines.prepare"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(project_root), "PATH": "", "PREFECT_API_URL": "http://127.0.0.1:9/api"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("matbind: params.yaml: unknown key temprature")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "artifacts").exists()
