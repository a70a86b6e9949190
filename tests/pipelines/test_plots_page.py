"""The page that DVC writes of the plots, which has to draw where there is no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

CSV = "combination,epoch,loss\ndos,1,2.0\ndos,2,1.0\n"


class Page(HTMLParser):
    """Collects the scripts of a page in their order, and what its elements load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def page(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of one plot of the project, by the project's own configuration of DVC."""
    project = tmp_path_factory.mktemp("plots")
    shutil.copytree(project_root / ".dvc", project / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    [losses] = [
        plot
        for plot in yaml.safe_load((project_root / "dvc.yaml").read_text())["plots"]
        if isinstance(plot, dict) and "Training loss" in plot
    ]
    (project / "metrics").mkdir()
    (project / "metrics/learning_curves.csv").write_text(CSV)
    (project / "dvc.yaml").write_text(yaml.safe_dump({"plots": [losses]}))
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show"], cwd=project, check=True, capture_output=True)
    reader = Page()
    reader.feed((project / "dvc_plots/index.html").read_text(encoding="utf-8"))
    return reader


def test_the_page_of_the_plots_loads_nothing_from_elsewhere(page: Page) -> None:
    assert [address for address in page.loaded if "//" in address] == []


def test_the_page_of_the_plots_has_vega_before_it_draws(page: Page) -> None:
    bundle, *plots = page.scripts

    assert "window.vegaEmbed=" in bundle
    assert ["vegaEmbed(" in plot for plot in plots] == [True]
