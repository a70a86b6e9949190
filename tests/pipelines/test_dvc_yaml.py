"""dvc.yaml says what a stage depends on; these tests compare it with the code and the settings themselves."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from matbind import settings as settings_module

# Change nothing that a stage makes: they check, record or report, or hold what params.yaml tells by itself.
CROSS_CUTTING = {
    "__init__",
    "errors",
    "files",
    "lifeline",
    "lineage",
    "mlflow_runs",
    "mlflow_store",
    "parallel",
    "provenance",
    "run_figures",
    "run_record",
    "settings",
    "system_metrics",
    "tracking",
}
ENTRY_POINTS = {
    "complete": ["complete"],
    "prepare": ["prepare"],
    "validate": ["validation/stage"],
    "featurize": ["featurize", "features/*"],
    "tune": [
        *("tuning", "tuning_choice", "tuning_plots", "tuning_report", "tuning_space", "tuning_trial"),
        *("encoders/*", "views/*"),
    ],
    "ablate": ["ablation", "tuning_space", "encoders/*", "views/*"],  # the last two are found by a modality's name
    "compare": ["compare"],
    "analyse": ["analysis/*", "encoders/*", "views/*", "features/*"],
    "report": ["report/*"],
    "register": ["registry_stage", "serving/mlflow_model", "serving/queries/*", "encoders/*", "views/*", "features/*"],
}
PRESET = "small"


@pytest.fixture(scope="module")
def stages(project_root: Path) -> dict[str, Any]:
    text = (project_root / "dvc.yaml").read_text().replace("${preset}", PRESET).replace("${prepare.data}", "data")
    found: dict[str, Any] = yaml.safe_load(text)["stages"]
    return found


@pytest.mark.parametrize("stage", ENTRY_POINTS)
def test_a_stage_depends_on_the_code_it_runs(stage: str, stages: dict[str, Any], project_root: Path) -> None:
    package = project_root / "src" / "matbind"
    declared = [project_root / dep for dep in stages[stage]["deps"]]
    used = _imported(package, [path for name in ENTRY_POINTS[stage] for path in package.glob(f"{name}.py")])

    missing = {path for path in used if not any(path == dep or dep in path.parents for dep in declared)}

    assert sorted(str(path.relative_to(package)) for path in missing) == []


@pytest.mark.parametrize("stage", ENTRY_POINTS)
def test_code_a_stage_depends_on_exists(stage: str, stages: dict[str, Any], project_root: Path) -> None:
    code = [dep for dep in stages[stage]["deps"] if dep.startswith(("src/", "pipelines/"))]

    assert [dep for dep in code if not (project_root / dep).exists()] == []


def test_every_setting_belongs_to_a_stage(stages: dict[str, Any], project_root: Path) -> None:
    declared = {param for stage in stages.values() for param in stage.get("params", [])}
    declared |= {param.removeprefix(f"presets.{PRESET}.") for param in declared}
    flat = settings_module.load(project_root / "params.yaml", preset=PRESET).flat()

    homeless = {key for key in flat if not any(key == param or key.startswith(f"{param}.") for param in declared)}

    assert homeless == {"ablate.workers", "ablate.retries", "parallel.workers", "parallel.dask"}


def test_how_many_train_at_a_time_makes_nothing_stale(stages: dict[str, Any]) -> None:
    declared = {param for stage in stages.values() for param in stage.get("params", [])}

    assert declared & {"ablate", "ablate.workers", "ablate.retries"} == set()


def test_no_output_can_be_committed_by_accident(stages: dict[str, Any], project_root: Path) -> None:
    outs = [out for stage in stages.values() for out in (*stage.get("outs", []), *stage.get("metrics", []))]
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in outs]
    paths += ["mlflow.db", "mlartifacts/1", ".prefect/prefect.db", "data/dos.parquet", ".venv/bin"]

    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths], cwd=project_root, capture_output=True, text=True, check=False
    ).stdout.split()

    assert sorted(ignored) == sorted(paths)


def _imported(package: Path, entry_points: list[Path]) -> set[Path]:
    """Modules of the package that are imported, directly or not."""
    found: set[Path] = set()
    waiting = list(entry_points)
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(package).with_suffix(""))
        if path in found or name in CROSS_CUTTING or path.name == "__init__.py":
            continue
        found.add(path)
        for node in ast.walk(_without_imports_for_types(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "matbind":
                home = package.joinpath(*str(node.module).split(".")[1:])
                candidates = [home / alias.name for alias in node.names] if home.is_dir() else [home]
                waiting += [c.with_suffix(".py") for c in candidates if c.with_suffix(".py").exists()]
    return found


def _without_imports_for_types(path: Path) -> ast.Module:
    module = ast.parse(path.read_text())
    module.body = [each for each in module.body if not (isinstance(each, ast.If) and "TYPE_CHECKING" in ast.dump(each))]
    return module
