from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matbind.report.inputs import FILES
from pipelines import report as module
from pipelines.stage import run
from tests.pipelines.page import artifact
from tests.report import examples


def test_the_stage_writes_the_page(
    project_root: Path,
    prefect_api_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    examples.write(tmp_path, ["crystal"], **dict.fromkeys(FILES))
    shutil.copy(project_root / "params.yaml", "params.yaml")

    run(module.report)

    assert "[report] reports/index.html: 2 figures" in capsys.readouterr().out
    assert "gallery.json is not there, the analyse stage did not write it" in Path("reports/index.html").read_text()
    assert artifact(prefect_api_url, "report").endswith(f"({(tmp_path / 'reports/index.html').as_uri()})")


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("http://127.0.0.1:5000/#/experiments/3/runs/abc", "http://127.0.0.1:5000/#/experiments/3/runs/"),
        ("http://127.0.0.1:5000/#/experiments/3", "http://127.0.0.1:5000/#/experiments/3/runs/"),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_a_run_is_found_behind_its_experiment(link: str, page: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mlflow_link", lambda: link)
    assert module.runs_page() == page
