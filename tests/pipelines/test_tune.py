from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from matbind.base.files import read_json
from matbind.settings.load import load
from matbind.training.tuning.space import apply_tuned
from pipelines.tune import tune
from tests.factories import SMALL_RUN, needs_sample, raw_settings, real_features
from tests.pipelines.page import artifact
from tests.training.tuning.tuning import make_tune

pytestmark = needs_sample


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with features."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "features").symlink_to(real_features())
    return tmp_path


def _params(project: Path, **changes: object) -> Path:
    raw = raw_settings(SMALL_RUN)
    raw["tune"] = make_tune(**changes).model_dump(mode="json", exclude_none=True)
    raw["tune"]["storage"] = None
    raw["tune"]["space"]["training.learning_rate"] = {"start": 0.002, "low": 0.001, "high": 0.004}
    for preset in raw["presets"].values():
        preset.pop("tune", None)
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    return project / "params.yaml"


def test_the_flow_runs_the_trials_and_writes_what_came_out(
    project: Path, prefect_api_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    params = _params(project, trials=2, epochs=1, startup_trials=1, workers=2)

    tune(params)

    assert [trial["state"] for trial in read_json(project / "metrics/tuning.json")["trials"]] == ["complete"] * 2
    assert apply_tuned(load(params), project / "tuned.yaml")
    assert "[tune] 2 of 2 done" in capsys.readouterr().out
    shown = artifact(prefect_api_url, "tune")
    assert (project / "reports/tuning/tuning.md").read_text().startswith(shown)
    assert "history.png" not in shown
    assert sorted(path.name for path in (project / "reports/tuning").iterdir()) == [
        "history.png",
        "importance.png",
        "slices.png",
        "tuning.html",
        "tuning.md",
    ]


@pytest.mark.usefixtures("prefect_api_url")
def test_switched_off_the_flow_writes_the_page_all_the_same(project: Path) -> None:
    tune(_params(project, enabled=False))

    assert "Tuning is switched off" in (project / "reports/tuning/tuning.md").read_text()
    assert read_json(project / "metrics/tuning.json") == {"enabled": False}
