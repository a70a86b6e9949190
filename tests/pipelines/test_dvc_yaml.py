"""dvc.yaml says what a stage depends on; these tests compare it with the code and the settings themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from matbind.base.files import MEAN_RECALL, SUMMARY
from matbind.modalities.code import PACKAGE, code_of
from matbind.settings import load as settings_module
from matbind.settings.tune import SEARCHED
from matbind.training.tuning.space import LENGTH

STAGES = (
    "check",
    "complete",
    "prepare",
    "validate",
    "featurize",
    "tune",
    "ablate",
    "compare",
    "analyse",
    "register",
    "report",
)
PRESET = "small"


@pytest.fixture(scope="module")
def stages(project_root: Path) -> dict[str, Any]:
    text = (project_root / "dvc.yaml").read_text().replace("${preset}", PRESET).replace("${prepare.data}", "data")
    definitions: dict[str, Any] = yaml.safe_load(text)["stages"]
    return definitions


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_runs(stage: str, stages: dict[str, Any], project_root: Path) -> None:
    declared = [project_root / dep for dep in stages[stage]["deps"]]
    run = [PACKAGE / path for path in code_of(project_root / f"pipelines/{stage}.py", plumbing=False)]

    missing = {path for path in run if not any(path == dep or dep in path.parents for dep in declared)}

    assert sorted(str(path.relative_to(PACKAGE)) for path in missing) == []


def test_every_stage_is_checked(stages: dict[str, Any]) -> None:
    assert set(stages) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_code_a_stage_depends_on_exists(stage: str, stages: dict[str, Any], project_root: Path) -> None:
    code = [dep for dep in stages[stage]["deps"] if dep.startswith(("src/", "pipelines/"))]

    assert [dep for dep in code if not (project_root / dep).exists()] == []


def test_every_setting_belongs_to_a_stage(stages: dict[str, Any], project_root: Path) -> None:
    declared = {param for stage in stages.values() for param in stage.get("params", [])}
    declared |= {param.removeprefix(f"presets.{PRESET}.") for param in declared}
    flat = settings_module.load(project_root / "params.yaml", preset=PRESET).flat()

    homeless = {key for key in flat if not any(key == param or key.startswith(f"{param}.") for param in declared)}

    assert homeless == {"ablate.workers", "ablate.retries", "parallel.workers", "parallel.dask"}


def test_what_the_tune_stage_does_not_depend_on_its_trials_take_from_the_space(
    stages: dict[str, Any], project_root: Path
) -> None:
    declared = [param.removeprefix(f"presets.{PRESET}.") for param in stages["tune"]["params"]]
    flat = settings_module.load(project_root / "params.yaml", preset=PRESET).flat()
    trained_on = {key for key in flat if key.startswith(("model.", "training.", "deformation.", "modalities."))}

    left_out = {key for key in trained_on if not any(key == name or key.startswith(f"{name}.") for name in declared)}

    assert left_out == {*SEARCHED, *LENGTH}


def test_how_many_train_at_a_time_makes_nothing_stale(stages: dict[str, Any]) -> None:
    declared = {param for stage in stages.values() for param in stage.get("params", [])}

    assert declared & {"ablate", "ablate.workers", "ablate.retries"} == set()


def test_git_ignores_every_output_but_the_small_metrics_that_dvc_does_not_cache(
    stages: dict[str, Any], project_root: Path
) -> None:
    outs = [out for stage in stages.values() for out in (*stage.get("outs", []), *stage.get("metrics", []))]
    options = dict(next(iter(out.items())) if isinstance(out, dict) else (out, {}) for out in outs)
    others = ["mlflow.db", "mlartifacts/1", ".prefect/prefect.db", "data/dos.parquet", ".venv/bin"]

    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *options, *others],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()

    in_git = {str(MEAN_RECALL), str(SUMMARY)}
    assert {*options, *others}.difference(ignored) == in_git
    assert {path for path, option in options.items() if not option.get("cache", True)} == in_git


def test_plots_have_their_template_and_an_output_to_draw(project_root: Path) -> None:
    definitions = yaml.safe_load((project_root / "dvc.yaml").read_text())
    outs = [
        Path(next(iter(out)) if isinstance(out, dict) else out)
        for stage in definitions["stages"].values()
        for out in stage.get("outs", [])
    ]
    plots = [plot if isinstance(plot, dict) else {plot: {"y": {plot: None}}} for plot in definitions["plots"]]
    drawn = [Path(path) for plot in plots for option in plot.values() for path in option["y"]]
    templates = {option["template"] for plot in plots for option in plot.values() if "template" in option}
    here = {path.stem for path in (project_root / ".dvc/plots").iterdir()}

    assert [path for path in drawn if not {path, *path.parents} & set(outs)] == []
    assert templates - here == {"bar_horizontal"}  # comes with DVC
    assert here <= templates
