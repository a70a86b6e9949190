"""The smoke run: the whole pipeline on 150 materials, killed on the way and taken up again, once a test run."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cache import shared
from tests.end_to_end.copies import Project, copy_project

FINISHED_BEFORE_THE_KILL = 3
PATIENCE_SECONDS = 600
RECORD = "run.json"


@dataclass
class Run:
    """What came of `dvc repro`, killed and run again."""

    project: Project
    done_at_kill: dict[str, int]  # when the weights of a combination were written, ns
    killed: subprocess.CompletedProcess[str]
    resumed: subprocess.CompletedProcess[str]


def smoke_run(project_root: Path, tmp_path_factory: pytest.TempPathFactory, prefect_api_url: str) -> Run:
    """Return the run, made by the first process that asks; its project is for reading, or to be put back as it was."""

    def make(directory: Path) -> None:
        project = copy_project(project_root, tmp_path_factory.mktemp("project"), prefect_api_url)
        for pattern, value in ((r"^preset: \w+", "preset: smoke"), (r"^  combinations: .*", "  combinations: null")):
            edit_params(project, pattern, value)
        project.commit_and_pull()
        killed = _repro_until_killed(project)
        done_at_kill = weights_written(project.root)
        resumed = project.call("dvc", "repro")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        outputs = [(done.args, done.returncode, done.stdout, done.stderr) for done in (killed, resumed)]
        record = {
            "root": str(project.root),
            "environment": project.environment,
            "done_at_kill": done_at_kill,
            "outputs": outputs,
        }
        (directory / RECORD).write_text(json.dumps(record))

    record = json.loads((shared("smoke", make) / RECORD).read_text())
    killed, resumed = (subprocess.CompletedProcess(*output) for output in record["outputs"])
    return Run(Project(Path(record["root"]), record["environment"]), record["done_at_kill"], killed, resumed)


def edit_params(project: Project, pattern: str, replacement: str) -> None:
    """Replace what matches, once, in params.yaml."""
    path = project.root / "params.yaml"
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)


def weights_written(root: Path) -> dict[str, int]:
    """Return when the weights of every finished combination were written, in nanoseconds."""
    evaluated = root.glob("models/*/seed-*/evaluation.json")
    done = {path.parents[1].name: path.with_name("model.safetensors") for path in evaluated}
    return {name: path.stat().st_mtime_ns for name, path in done.items()}


def _repro_until_killed(project: Project) -> subprocess.CompletedProcess[str]:
    """Run `dvc repro` and kill the ablate stage, without a chance to tidy up, when some combinations are finished."""
    output = project.root / ".dvc" / "tmp" / "killed.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=project.root, env=project.environment, stdout=file, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(weights_written(project.root)) < FINISHED_BEFORE_THE_KILL:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.2)
        stages = psutil.Process(process.pid).children()
        trainers = [child for stage in stages for child in stage.children(recursive=True)]
        for stage in stages:
            stage.kill()
        code = process.wait(timeout=60)
    _, alive = psutil.wait_procs(trainers, timeout=60)
    assert alive == []
    return subprocess.CompletedProcess(["dvc", "repro"], code, output.read_text(), "")
