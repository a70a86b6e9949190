"""The real pipeline on 150 materials, killed on the way and taken up again; the tests look at what it left."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from matbind.base.errors import StageError
from matbind.modalities.combinations import all_combinations, pair_name
from matbind.report.style import learning_curves
from matbind.settings import load as settings_module
from matbind.tracking.runs import PARENT
from matbind.tracking.tracker import Tracker
from matbind.training.ablation import Ablation
from matbind.training.trainer_process import TrainingError
from tests.cache import lend_kernels
from tests.end_to_end.copies import Project
from tests.end_to_end.smoke import FINISHED_BEFORE_THE_KILL, Run, edit_params, smoke_run, weights_written

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def run(project_root: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return smoke_run(project_root, tmp_path_factory, prefect_api_url)


@pytest.fixture(scope="module")
def project(run: Run) -> Project:
    return run.project


@pytest.fixture(scope="module")
def comparison(project: Project) -> dict[str, Any]:
    metrics: dict[str, Any] = project.json("metrics/comparison.json")
    return metrics


@pytest.fixture
def edited(project: Project) -> Any:
    """Edits params.yaml and puts it back afterwards."""
    path = project.root / "params.yaml"
    before = path.read_text()
    yield partial(edit_params, project)
    path.write_text(before)


def test_all_combinations_are_compared_on_the_right_pairs(comparison: dict[str, Any]) -> None:
    expected = {
        combination.name: (
            combination.hub,
            {pair_name(*pair): combination.kind(*pair) for pair in combination.pairs()},
        )
        for combination in all_combinations()
    }

    compared = {
        name: (entry["hub"], {pair: result["kind"] for pair, result in entry["pairs"].items()})
        for name, entry in comparison["combinations"].items()
    }

    assert compared == expected


def test_the_comparison_names_its_data_and_code(project: Project, comparison: dict[str, Any]) -> None:
    assert comparison["data_md5"] in (project.root / "data.dvc").read_text()
    assert comparison["git_commit"] == project.run("git", "rev-parse", "HEAD").strip()


def test_every_combination_names_its_run(project: Project, comparison: dict[str, Any]) -> None:
    run_ids = {name: entry["run_id"] for name, entry in comparison["combinations"].items()}

    assert run_ids == {name: run.info.run_id for name, run in _children(project).items()}


def test_there_is_one_parent_run_with_fifteen_finished_children(project: Project) -> None:
    runs = _runs(project)

    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if PARENT not in run.data.tags]) == 1
    assert set(_children(project)) == {combination.name for combination in all_combinations()}
    assert len(runs) == 16


def test_the_validation_is_a_run_with_its_report(project: Project) -> None:
    (run,) = _runs(project, "validation")

    assert run.data.metrics["crystal.values"] == 150
    assert (project.root / "reports/validation/index.html").exists()


def test_a_finished_combination_is_not_trained_again_after_a_kill(run: Run) -> None:
    after = weights_written(run.project.root)

    assert run.killed.returncode != 0
    assert FINISHED_BEFORE_THE_KILL <= len(run.done_at_kill) < len(after) == 15
    assert {name: after[name] for name in run.done_at_kill} == run.done_at_kill
    assert run.resumed.stdout.count("done before, kept") == len(run.done_at_kill)


def test_curves_have_every_epoch_once(project: Project) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    steps = {
        name: sorted(point.step for point in client.get_metric_history(run.info.run_id, "training/loss"))
        for name, run in _children(project).items()
    }

    history = project.json("models/crystal/seed-0/history.json")
    assert set(map(tuple, steps.values())) == {tuple(int(figures["epoch"]) for figures in history)}


def test_the_report_and_its_figures_are_there(project: Project) -> None:
    reports = project.root / "reports"

    assert "crystal+dos+pxrd+text" in (reports / "comparison.md").read_text()
    figures = {path.name for path in (reports / "figures").iterdir()}
    numbered = {path.split("_")[0] for path in figures if path.startswith("fig")}
    assert numbered == {"fig2", "fig3", "fig4", "fig6", "fig7"}
    assert {"fig2_recall_at_1.png", "fig2_recall_at_1.svg", "fig2_recall_at_1.csv", "shapley.png"} <= figures
    page = (reports / "index.html").read_text()
    assert "crystal+dos+pxrd+text" in page
    assert "t-SNE with perplexity 30 needs more rows than that, found 7" in page  # figure 5: of 7 compounds


def test_a_second_repro_does_nothing(project: Project) -> None:
    before = (project.root / "dvc.lock").read_bytes()

    assert "Running stage" not in project.run("dvc", "repro")
    assert (project.root / "dvc.lock").read_bytes() == before


def test_a_run_changes_of_what_git_tracks_the_lock_file_and_the_small_metrics(project: Project) -> None:
    status = project.run("git", "status", "--porcelain", "--untracked-files=all")

    assert sorted(status.split()[1::2]) == ["dvc.lock", "metrics/recall.json", "metrics/summary.json"]


@pytest.mark.parametrize(
    ("pattern", "replacement", "stale"),
    [
        (r"bootstrap_resamples: \d+", "bootstrap_resamples: 777", {"tune", "ablate", "compare"}),
        (r" temperature: \S+", " temperature: 0.123", {"ablate"}),
        (r"max_tokens: 128", "max_tokens: 99", {"featurize", "tune", "ablate"}),
        (r"workers: \d+", "workers: 7", set()),
        (r"(small: &small\s+prepare: \{limit:) \w+", r"\1 4001", set()),  # a preset that is not in use
    ],
)
def test_a_changed_value_makes_just_its_stages_stale(
    project: Project, edited: Callable[[str, str], None], pattern: str, replacement: str, stale: set[str]
) -> None:
    edited(pattern, replacement)

    assert set(json.loads(project.run("dvc", "status", "--json"))) == stale | {"check"}


def test_a_mistake_in_the_settings_stops_the_pipeline_with_a_sentence(
    project: Project, edited: Callable[[str, str], None]
) -> None:
    edited(r" temperature: \S+", " temperature: -1")

    outs = ("tuned.yaml", "metrics/combinations", "metrics/comparison.json", "reports/index.html")

    failed = project.call("dvc", "repro")

    assert failed.returncode != 0
    assert [out for out in outs if not (project.root / out).exists()] == []
    assert "matbind: params.yaml: model.temperature is -1" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert len(weights_written(project.root)) == 15


def test_a_failed_combination_is_told_and_the_finished_ones_are_kept(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for part in ("artifacts/features", "models/text", "metrics/combinations"):
        shutil.copytree(project.root / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    settings = settings_module.load(project.root / "params.yaml")
    settings = settings.model_copy(
        update={"ablate": settings.ablate.model_copy(update={"combinations": ["text", "dos"]})}
    )
    lines: list[str] = []

    def fail(_name: str, **_: Any) -> None:
        raise TrainingError("MemoryError; see artifacts/logs/dos.log")

    ablation_run = Ablation(settings, draw_curves=learning_curves, log=lines.append, train=fail)
    ablation_run.train("text")
    with pytest.raises(TrainingError) as failure:
        ablation_run.train("dos")
    with pytest.raises(StageError, match=r"^1 of 2 trainings failed: dos \(MemoryError; see"):
        ablation_run.finish({"dos": failure.value})

    left = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "metrics/combinations").iterdir()}
    assert left.keys() == {"dos", "text"}  # the others were not asked for
    assert left["dos"] == {"combination": "dos", "error": "MemoryError; see artifacts/logs/dos.log"}
    assert "pairs" in left["text"]
    assert lines == [
        "1 of 2 done | text: done before, kept",
        "dos failed: MemoryError; see artifacts/logs/dos.log",
    ]


def test_a_new_evaluation_keeps_the_weights_and_the_curves(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for part in ("artifacts/features", "models/text", "metrics/combinations"):
        shutil.copytree(project.root / part, tmp_path / part)
    params = (project.root / "params.yaml").read_text()
    params = re.sub(r"bootstrap_resamples: \d+", "bootstrap_resamples: 777", params)
    (tmp_path / "params.yaml").write_text(re.sub(r"  combinations: .*", "  combinations: [text]", params))
    monkeypatch.chdir(tmp_path)
    before = weights_written(tmp_path)

    ablation_run = Ablation(settings_module.load(), draw_curves=learning_curves, log=lambda _: None)
    ablation_run.train("text")
    ablation_run.finish({})

    assert weights_written(tmp_path) == before
    metrics = json.loads((tmp_path / "metrics/combinations/text.json").read_text())
    history = json.loads((tmp_path / "models/text/seed-0/history.json").read_text())
    curve = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_metric_history(metrics["run_id"], "training/loss")
    assert sorted(point.step for point in curve) == [int(figures["epoch"]) for figures in history]


def test_a_model_is_made_again_from_its_record(project: Project, tmp_path: Path) -> None:
    script = project.run(sys.executable, "-m", "matbind.cli", "provenance", "dos", "--checkout")

    again = project.root.parent / re.findall(r"matbind-[0-9a-f]+", script)[0]
    lend_kernels(again / "src" / "matbind", tmp_path / "numba")

    project.run("env", f"NUMBA_CACHE_DIR={tmp_path / 'numba'}", "sh", "-c", script)

    metrics = [json.loads((root / "metrics/combinations/dos.json").read_text()) for root in (project.root, again)]
    assert metrics[0]["pairs"] == metrics[1]["pairs"]
    weights = "models/dos/seed-0/model.safetensors"
    assert filecmp.cmp(project.root / weights, again / weights, shallow=False)
    project.run("git", "worktree", "remove", "--force", str(again))


def test_metrics_are_shown_by_dvc_and_fit_a_line(project: Project) -> None:
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]

    assert list(shown) == ["metrics/summary.json"]
    assert set(shown["metrics/summary.json"]["data"]) == {"aligned", "emergent", "view"}
    assert max(map(len, project.run("dvc", "metrics", "show").splitlines())) < 100


def test_a_clone_of_git_alone_shows_metrics_and_says_what_would_run(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone", project.environment)
    project.run("git", "clone", "--quiet", ".", str(clone.root))
    for name in ("dvc.lock", "metrics/recall.json", "metrics/summary.json"):
        (clone.root / name).parent.mkdir(exist_ok=True)
        shutil.copy(project.root / name, clone.root / name)
    clone.run("git", "add", ".")
    clone.run("git", "commit", "--quiet", "-m", "results")

    shown = json.loads(clone.run("dvc", "metrics", "show", "--json"))[""]["data"]["metrics/summary.json"]
    diff = json.loads(clone.run("dvc", "metrics", "diff", "HEAD~1", "--json", "--targets", "metrics/recall.json"))
    stale = json.loads(clone.run("dvc", "status", "--json"))

    assert shown["data"] == project.json("metrics/summary.json")
    assert diff["metrics/recall.json"]["crystal+dos+pxrd+text.emergent"]["new"] >= 0
    assert stale["ablate"][-1]["changed outs"]["models"] == "not in cache"


def test_dvc_plots_curves_of_all_combinations_and_the_figures(project: Project) -> None:
    plots = json.loads(project.run("dvc", "plots", "show", "--json"))["data"]

    losses = plots["Training loss"][0]["content"]["data"]["values"]
    assert {row["combination"] for row in losses} == {combination.name for combination in all_combinations()}
    histories = project.root.glob("models/*/seed-0/history.json")
    assert len(losses) == sum(len(json.loads(path.read_text())) for path in histories)
    assert plots["reports/figures/fig2_recall_at_1.png"][0]["type"] == "image"


def test_restored_results_show_their_runs(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(project.root / "data.dvc", tmp_path)
    tracker = Tracker(warn=pytest.fail, root=tmp_path)
    where = (project.root / "models", project.root / "metrics/combinations")

    assert tracker.backfill(*where) == 15
    assert tracker.backfill(*where) == 0


def _runs(project: Project, *kinds: str) -> list[Any]:
    """All runs of the given kinds, by default those of the ablation."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("matbind").experiment_id])
    return [run for run in runs if run.data.tags["matbind.kind"] in (kinds or ("ablation", "combination"))]


def _children(project: Project) -> dict[str, Any]:
    return {run.info.run_name: run for run in _runs(project) if PARENT in run.data.tags}
