from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.analyse import analyse
from pipelines.stage import run
from tests.analysis.world import write_models
from tests.factories import needs_sample, real_features
from tests.pipelines.page import artifact

pytestmark = needs_sample


def test_the_stage_writes_results_and_metrics(
    project_root: Path,
    prefect_api_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "features").symlink_to(real_features())
    (tmp_path / "artifacts" / "valid").symlink_to(real_features().parent / "records")
    write_models(tmp_path, only=["crystal", "text"])
    (tmp_path / "metrics" / "combinations").mkdir()
    for path in list((tmp_path / "metrics").glob("*.json")):
        shutil.move(path, tmp_path / "metrics" / "combinations")
    params = yaml.safe_load((project_root / "params.yaml").read_text())
    params["parallel"]["workers"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(params))

    run(analyse)

    assert "[analyse] 2 combinations analysed; 13 are missing: artifacts/analysis\n" in capsys.readouterr().out
    index = json.loads(Path("artifacts/analysis/index.json").read_text())
    assert index["combinations"]["text"]["run_id"] == "run of text"
    assert Path("metrics/latent.json").exists()
    worth = json.loads(Path("metrics/shapley.json").read_text())
    assert [row["question"] for row in artifact(prefect_api_url, "analyse")] == list(worth)
