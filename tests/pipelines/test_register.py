from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.register import register
from pipelines.stage import run
from tests.factories import needs_sample, real_features
from tests.pipelines.page import artifact
from tests.registry.registered import registry_in
from tests.serving.trained import trained

pytestmark = needs_sample


def test_the_stage_registers_and_adds_the_runs_that_are_missing(
    project_root: Path,
    prefect_api_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics" / "combinations").mkdir(parents=True)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "features").symlink_to(real_features())
    shutil.copytree(trained("text").models, "models")
    shutil.copy(trained("text").metrics / "text.json", "metrics/combinations")
    shutil.copy(project_root / "params.yaml", "params.yaml")
    registry = registry_in(tmp_path)

    run(register)

    assert capsys.readouterr().out == "[register] 1 of 1 | matbind-text: version 1 made\n"
    entry = json.loads(Path("metrics/registry.json").read_text())["models"]["text"]
    [version] = registry.versions("matbind-text")
    assert entry["digest"] == version.digest
    assert version.run_id is not None
    assert artifact(prefect_api_url, "register") == [{"combination": "text"} | entry]
