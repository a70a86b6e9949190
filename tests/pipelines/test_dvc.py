from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.dvc import run_dvc

PIPELINE = """
stages:
  first:
    cmd: python -c "print('first ran')"
    deps: [seed.txt]
  second:
    cmd: python fails.py
    deps: [fails.py]
    params: [seed]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of two stages, the second of which fails as it is told."""
    root = tmp_path_factory.mktemp("pipeline")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("seed: 0\n")
    (root / "seed.txt").write_text("0\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"], cwd=root, check=True)
    return root


def test_a_failed_stage_is_named_with_its_exit_code_and_last_words(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "fails.py").write_text("import sys; print('half way'); sys.exit('matbind: data: row 3 has no lattice')")
    lines: list[str] = []

    outcome = run_dvc("repro", log=lines.append)

    assert (outcome.succeeded, outcome.stage, outcome.stage_code) == (False, "second", 1)
    assert outcome.last_words(of_stage=True).endswith("half way | matbind: data: row 3 has no lattice")
    assert "first ran" in lines


def test_the_output_comes_while_a_stage_runs_and_dvc_ends_with_its_caller(project: Path) -> None:
    (project / "fails.py").write_text("import time; print('begun', flush=True); time.sleep(600)")
    code = (
        "import sys; from pathlib import Path; from pipelines.dvc import run_dvc\n"
        "run_dvc('repro', '--single-item', 'second', log=lambda line: print(line, flush=True))"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    while caller.stdout.readline() != "begun\n":
        assert caller.poll() is None
    dvc = psutil.Process(caller.pid).children()
    stages = dvc[0].children()

    caller.send_signal(signal.SIGKILL)
    caller.wait()

    assert psutil.wait_procs(dvc, timeout=30)[1] == []
    for stage in stages:
        stage.kill()
