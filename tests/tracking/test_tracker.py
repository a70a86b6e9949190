from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from matbind.base.files import METRICS, VALID, write_json
from matbind.base.provenance import dvc_md5
from matbind.modalities.combinations import Combination, all_combinations, parse_combination
from matbind.report.style import learning_curves
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.tracking.datasets import datasets_of
from matbind.tracking.runs import NOTE, PARENT
from matbind.tracking.store import tracking_uri
from matbind.tracking.tracker import Tracker
from matbind.tracking.tuning import TuningTracker
from tests.tracking.stores import write_records

FINGERPRINT = "m1"


@pytest.fixture(scope="session")
def settings(project_root: Path) -> Settings:
    return settings_module.load(project_root / "params.yaml", preset="smoke")


@pytest.fixture
def root(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project directory with an empty store whose artifacts are in it."""
    import sqlite3

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("update experiments set artifact_location = ?", [(tmp_path / "mlartifacts").as_uri()])
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 1234.dir\n  path: data\n")
    return tmp_path


@pytest.fixture
def runs(root: Path) -> Callable[[], dict[str, Any]]:
    """Reads the runs of the store by name; two runs of one name are an error."""

    def read() -> dict[str, Any]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri(root))
        experiment = client.get_experiment_by_name("matbind")
        stored = client.search_runs([experiment.experiment_id])
        by_name = {run.info.run_name: run for run in stored}
        assert len(by_name) == len(stored)
        return by_name

    return read


def _evaluation(name: str) -> dict[str, Any]:
    combination = parse_combination(name)
    pairs = {
        f"{q}->{k}": {"kind": combination.kind(q, k), "recall_at_1": 0.5, "recall_at_5": 0.75, "n": 18, "mrr": 0.6}
        for q, k in combination.pairs()
    }
    return {
        "combination": name,
        "hub": combination.hub,
        "seed": 0,
        "run_id": None,
        "pairs": pairs,
        "seconds": 12.0,
        "best_epoch": 2,
        "n_parameters": {"crystal": 1000, "crystal.projection": 10},
    }


def _metrics(name: str, **changes: Any) -> dict[str, Any]:
    """The metrics file of a combination that was trained once."""
    evaluation = _evaluation(name) | changes
    return {**evaluation, "seeds": [0], "trainings": [evaluation]}


def _write_results(root: Path, names: list[str], settings: Settings) -> tuple[Path, Path]:
    """What an ablation leaves behind in files."""
    models, metrics = root / "models", root / "metrics"
    for name in names:
        write_json(metrics / f"{name}.json", _metrics(name, data_md5="old.dir", git_commit="abc-dirty"))
        write_json(models / name / "seed-0/settings.json", settings.model_dump(mode="json", by_alias=True))
        history = [{"epoch": e, "seconds": 6.0 * e, "loss": 3.0 - e, "validation_recall_at_1": 0.1 * e} for e in (1, 2)]
        write_json(models / name / "seed-0/history.json", history)
    return models, metrics


def test_a_new_store_is_made_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert Tracker(warn=pytest.fail, root=tmp_path)._runs is not None
    assert (tmp_path / "mlflow.db").stat().st_size > 0


def test_an_ablation_is_a_parent_with_a_child_a_combination(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    tracker = Tracker(warn=pytest.fail, root=root)
    parent = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)

    def one(combination: Combination) -> None:
        run_id = tracker.start_combination(parent, settings, combination, 0)
        tracker.log_epoch(run_id, {"epoch": 1.0, "seconds": 1.0, "loss": 2.5})
        tracker.finish_combination(run_id, _evaluation(combination.name), [])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, all_combinations()))
    tracker.finish_ablation(parent)

    by_name = runs()
    children = {name for name, run in by_name.items() if run.data.tags.get(PARENT) == parent}
    assert children == {combination.name for combination in all_combinations()}
    assert {run.info.status for run in by_name.values()} == {"FINISHED"}
    assert len(by_name) == 16


def test_an_ablation_of_several_seeds_has_a_run_a_training(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    from mlflow import MlflowClient

    several = settings.model_copy(update={"ablate": settings.ablate.model_copy(update={"seeds": (0, 2)})})
    tracker = Tracker(warn=pytest.fail, root=root)
    parent = tracker.start_ablation(several, fingerprint=FINGERPRINT, is_done=False)
    dos = parse_combination("dos")
    interrupted = tracker.start_combination(parent, several, dos, 0)
    for seed, recall in ((2, 0.25), (0, 0.75)):
        run_id = tracker.start_combination(parent, several, dos, seed)
        evaluation = _evaluation("dos") | {"seed": seed}
        evaluation["pairs"]["dos->dos"]["recall_at_1"] = recall
        tracker.finish_combination(run_id, evaluation, [])
    tracker.finish_ablation(parent)

    by_name = runs()
    first, second = by_name["dos seed 0"], by_name["dos seed 2"]
    assert first.info.run_id == interrupted
    assert (first.data.params["training_seed"], second.data.tags["training_seed"]) == ("0", "2")
    assert (first.data.metrics["recall_at_1.with_hub"], second.data.metrics["recall_at_1.with_hub"]) == (0.75, 0.25)
    path = MlflowClient(tracking_uri(root)).download_artifacts(str(parent), "pairs.json", str(root))
    table = json.loads(Path(path).read_text())
    assert [dict(zip(table["columns"], row, strict=True))["seed"] for row in table["data"]] == ["0", "2"]


def test_a_run_holds_settings_origin_metrics_curves_and_files(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(warn=pytest.fail, root=root)
    figure = learning_curves([{"epoch": 1.0, "loss": 3.0}], root / "learning_curves.png")
    run_id = tracker.start_combination(None, settings, parse_combination("crystal+dos+text"), 0)
    for epoch in (1.0, 2.0):
        tracker.log_epoch(run_id, {"epoch": epoch, "loss": 4.0 - epoch, "validation_recall_at_1.text->crystal": 0.5})
    tracker.finish_combination(run_id, _evaluation("crystal+dos+text"), [figure])

    run, client = runs()["crystal+dos+text"], MlflowClient(tracking_uri(root))
    params = {"combination": "crystal+dos+text", "hub": "crystal"}
    params |= {"with_crystal": "1", "with_dos": "1", "with_pxrd": "0", "with_text": "1", "n_parameters": "1010"}
    assert params.items() <= run.data.params.items()
    assert run.data.params["modalities.dos.encoder.width"] == settings.flat()["modalities.dos.encoder.width"]
    assert {name for name in run.data.params if name.startswith(("modalities.pxrd", "analysis", "validate"))} == set()
    assert {
        key: run.data.tags[key] for key in ("hub", "spokes", "n_modalities", "data_md5", "preset", "git_dirty")
    } == {
        "hub": "crystal",
        "spokes": "dos,text",
        "n_modalities": "3",
        "data_md5": "1234.dir",
        "preset": "smoke",
        "git_dirty": "false",
    }
    assert run.data.metrics["recall_at_1.text_to_dos"] == 0.5
    assert run.data.metrics["recall_at_1.emergent_mean"] == 0.5
    assert sorted((m.step, m.value) for m in client.get_metric_history(run_id, "training/loss")) == [(1, 3.0), (2, 2.0)]
    assert "training/validation_recall_at_1.text_to_crystal" in run.data.metrics
    artifacts = [artifact.path for artifact in client.list_artifacts(run_id)]
    assert artifacts == ["crystal+dos+text.json", "images", "learning_curves.png", "recall_at_1.png", "settings.json"]
    kept = json.loads(Path(client.download_artifacts(run_id, "settings.json", str(root))).read_text())
    assert kept == settings.model_dump(mode="json", by_alias=True)
    assert {a.path.split("/")[1].split("+")[0] for a in client.list_artifacts(run_id, "images")} == {
        "learning_curves",
        "recall_at_1",
    }
    assert "| text → dos | emergent | 18 | 0.500 |" in run.data.tags[NOTE]


def test_the_data_of_a_run_are_a_dataset_a_split(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.data import get_source

    write_records(root)

    Tracker(warn=pytest.fail, root=root).start_combination(None, settings, parse_combination("dos"), 0)

    inputs = runs()["dos"].inputs.dataset_inputs
    assert {
        (entry.tags[0].value, entry.dataset.name, entry.dataset.digest, entry.dataset.profile) for entry in inputs
    } == {
        ("training", "train", dvc_md5(root / VALID), '{"num_rows": 2, "crystal": 2, "dos": 1, "pxrd": 0, "text": 0}'),
        (
            "validation",
            "validation",
            dvc_md5(root / VALID),
            '{"num_rows": 1, "crystal": 1, "dos": 0, "pxrd": 0, "text": 0}',
        ),
        ("test", "test", dvc_md5(root / VALID), '{"num_rows": 1, "crystal": 1, "dos": 1, "pxrd": 0, "text": 0}'),
    }
    columns = json.loads(inputs[0].dataset.schema)["mlflow_colspec"]
    assert [column["name"] for column in columns][-4:] == ["crystal", "dos", "pxrd", "text"]
    monkeypatch.chdir(root)
    assert (Path(get_source(inputs[0]).load()) / "structures.parquet").exists()


def test_a_tuning_has_no_test_split(root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]) -> None:
    write_records(root)

    tracker = TuningTracker(warn=pytest.fail, root=root)
    parent = tracker.start_tuning(settings, parse_combination("dos"), fingerprint=FINGERPRINT)
    tracker.start_trial(parent, 0, settings, parse_combination("dos"))

    contexts = {tuple(sorted(datasets_of(run))) for run in runs().values()}
    assert contexts == {("training", "validation")}


def test_a_validation_leaves_the_data_of_later_runs_whole(root: Path, settings: Settings) -> None:
    from mlflow import MlflowClient

    write_records(root)
    tracker = Tracker(warn=pytest.fail, root=root)
    tracker.log_validation(settings, {"passed": True, "modalities": {}}, [])
    run_id = tracker.start_combination(None, settings, parse_combination("dos"), 0)

    datasets = datasets_of(MlflowClient(tracking_uri(root)).get_run(run_id))
    assert [json.loads(dataset.profile)["num_rows"] for dataset in datasets.values()] == [2, 1, 1]


def test_a_run_made_from_files_does_not_name_data_it_did_not_use(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    write_records(root)
    models, metrics = _write_results(root, ["dos"], settings)  # of other data than data.dvc names

    Tracker(warn=pytest.fail, root=root).backfill(models, metrics)

    assert runs()["dos"].inputs.dataset_inputs == []


def test_a_figure_that_is_no_number_is_named_in_a_tag(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    tracker = Tracker(warn=pytest.fail, root=root)
    run_id = tracker.start_combination(None, settings, parse_combination("dos"), 0)

    tracker.log_epoch(run_id, {"epoch": 1.0, "loss": float("inf"), "learning_rate": 0.5})
    tracker.log_epoch(run_id, {"epoch": 2.0, "loss": 1.0, "gradient": float("nan")})

    data = runs()["dos"].data
    assert data.tags["not_finite"] == "training/gradient training/loss"
    assert data.metrics == {"training/learning_rate": 0.5, "training/loss": 1.0}


def test_a_dvc_experiment_has_a_parent_that_bears_its_name(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Tracker(warn=pytest.fail, root=root)
    plain = first.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)
    first.finish_ablation(plain)
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-cage")
    tracker = Tracker(warn=pytest.fail, root=root)

    parent = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=True)
    tracker.start_combination(parent, settings, parse_combination("dos"), 0)

    assert parent != plain
    experiments = {name: run.data.tags.get("dvc_exp_name") for name, run in runs().items()}
    assert experiments["dos"] == "puffy-cage"
    assert [name for name in experiments if name.startswith("ablation") and name.endswith("(puffy-cage)")] != []


@pytest.mark.parametrize("matches", [True, False], ids=["its own", "another"])
def test_the_lock_of_the_ablation_is_added_once_it_is_compared(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]], *, matches: bool
) -> None:
    from mlflow import MlflowClient

    models, _ = _write_results(root, ["dos"], settings)
    evaluation = _metrics("dos", data_md5="old.dir", git_commit="abc-dirty")
    write_json(root / METRICS / "dos.json", evaluation)
    tracker = Tracker(warn=pytest.fail, root=root)
    tracker.backfill(models, root / METRICS)
    md5 = dvc_md5(root / METRICS) if matches else "0.dir"
    (root / "dvc.lock").write_text(
        f"stages:\n  ablate: {{deps: [], outs: [{{path: {METRICS}, md5: {md5}}}, {{path: models, md5: m1.dir}}]}}\n"
    )

    tracker.log_comparison([evaluation], [])

    (parent,) = (run for run in runs().values() if PARENT not in run.data.tags)
    artifacts = MlflowClient(tracking_uri(root)).list_artifacts(parent.info.run_id)
    assert ("dvc.lock" in {artifact.path for artifact in artifacts}) is matches


def test_the_machine_is_measured_while_an_ablation_runs(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    tracker = Tracker(warn=pytest.fail, root=root)
    stop = tracker.watch(tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False))
    deadline, measured = time.monotonic() + 60, "system/cpu_utilization_percentage"
    while time.monotonic() < deadline and not any(measured in run.data.metrics for run in runs().values()):
        time.sleep(0.1)
    stop()

    assert [measured in run.data.metrics for run in runs().values()] == [True]


def test_curves_are_completed_without_repeating_an_epoch(root: Path, settings: Settings) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(warn=pytest.fail, root=root)
    run_id = tracker.start_combination(None, settings, parse_combination("dos"), 0)
    tracker.log_epoch(run_id, {"epoch": 2.0, "loss": 2.0})

    tracker.complete_curves(run_id, [{"epoch": float(epoch), "loss": 4.0 - epoch} for epoch in (1, 2, 3)])

    history = MlflowClient(tracking_uri(root)).get_metric_history(run_id, "training/loss")
    assert sorted((point.step, point.value) for point in history) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_an_interrupted_ablation_goes_on_in_its_own_runs(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from matbind.modalities.combinations import parse_combination\n"
        "from matbind.settings.load import load\n"
        "from matbind.tracking.tracker import Tracker\n"
        "root, params = map(Path, sys.argv[1:])\n"
        "settings = load(params, preset='smoke')\n"
        "tracker = Tracker(warn=print, root=root)\n"
        f"parent = tracker.start_ablation(settings, fingerprint={FINGERPRINT!r}, is_done=False)\n"
        "tracker.start_combination(parent, settings, parse_combination('crystal+dos'), 0)\n"
        "os._exit(137)"
    )
    params = Path(__file__).parents[2] / "params.yaml"
    assert subprocess.run([sys.executable, "-c", code, str(root), str(params)], check=False).returncode == 137
    assert {run.info.status for run in runs().values()} == {"RUNNING"}

    tracker = Tracker(warn=pytest.fail, root=root)
    assert {run.info.status for run in runs().values()} == {"FAILED"}
    parent = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)
    child = tracker.start_combination(parent, settings, parse_combination("crystal+dos"), 0)

    by_name = runs()
    assert by_name["crystal+dos"].info.run_id == child
    assert {run.info.status for run in by_name.values()} == {"RUNNING"}
    assert len(by_name) == 2


def test_an_ablation_with_other_settings_is_a_new_parent(root: Path, settings: Settings) -> None:
    tracker = Tracker(warn=pytest.fail, root=root)
    first = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)

    assert tracker.start_ablation(settings, fingerprint="m2", is_done=False) != first


def test_a_finished_ablation_is_continued_only_if_nothing_is_left_to_train(root: Path, settings: Settings) -> None:
    tracker = Tracker(warn=pytest.fail, root=root)
    first = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)
    tracker.finish_ablation(first)

    assert tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=True) == first
    tracker.finish_ablation(first)
    assert tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False) != first


def test_a_failed_run_says_why(root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]) -> None:
    tracker = Tracker(warn=pytest.fail, root=root)

    tracker.fail(tracker.start_combination(None, settings, parse_combination("dos"), 0), "its process was ended")

    run = runs()["dos"]
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "its process was ended")


def test_files_without_runs_are_backfilled_once(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    from mlflow import MlflowClient

    names = ["crystal", "crystal+dos"]
    models, metrics = _write_results(root, names, settings)
    tracker = Tracker(warn=pytest.fail, root=root)

    assert tracker.backfill(models, metrics) == 2
    assert tracker.backfill(models, metrics) == 0

    by_name = runs()
    parents = [run for name, run in by_name.items() if name.startswith("ablation smoke")]
    assert len(parents) == 1
    assert {by_name[name].data.tags[PARENT] for name in names} == {parents[0].info.run_id}
    run = by_name["crystal+dos"]
    assert run.data.params["model.temperature"] == str(settings.model.temperature)
    assert run.data.metrics["recall_at_1.dos_to_crystal"] == 0.5
    assert (run.data.tags["git_commit"], run.data.tags["git_dirty"]) == ("abc", "true")
    assert run.data.tags["data_md5"] == "old.dir"
    assert run.info.end_time - run.info.start_time == 12_000
    history = MlflowClient(tracking_uri(root)).get_metric_history(run.info.run_id, "training/loss")
    assert sorted((m.step, m.value) for m in history) == [(1, 2.0), (2, 1.0)]


def test_the_pages_of_an_experiment_lead_to_its_latest_ablation(root: Path, settings: Settings) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(warn=pytest.fail, root=root)
    assert tracker.comparison_path() is None
    models, metrics = _write_results(root, ["dos"], settings)
    tracker.backfill(models, metrics)

    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name("matbind")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`matbind.kind` = 'ablation'")
    path = tracker.comparison_path()
    saved = json.loads(experiment.tags[f"mlflow.sharedViewState.{path.partition('viewStateShareKey=')[2]}"])
    shown = client.search_runs([experiment.experiment_id], json.loads(saved["state"])["searchFilter"])
    assert [run.info.run_name for run in shown] == ["dos"]
    assert f"(#/experiments/1/runs/{parent.info.run_id}/artifacts/pairs.json?" in experiment.tags[NOTE]


def test_every_pair_is_in_one_table_of_the_ablation(root: Path, settings: Settings) -> None:
    from mlflow import MlflowClient

    models, metrics = _write_results(root, ["dos"], settings)
    tracker = Tracker(warn=pytest.fail, root=root)
    tracker.backfill(models, metrics)
    _write_results(root, ["crystal+dos"], settings)
    tracker.backfill(models, metrics)

    client = MlflowClient(tracking_uri(root))
    (parent,) = client.search_runs(["1"], "tags.`matbind.kind` = 'ablation'")
    path = client.download_artifacts(parent.info.run_id, "pairs.json", str(root))
    table = json.loads(Path(path).read_text())
    place = table["columns"].index
    assert [(row[place("combination")], row[place("query")], row[place("n")]) for row in table["data"]] == [
        ("dos", "dos", 18),
        ("crystal+dos", "crystal", 18),
        ("crystal+dos", "dos", 18),
    ]


def test_what_a_failed_store_missed_is_added_to_the_ablation_that_holds_the_rest(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    models, metrics = _write_results(root, ["crystal", "dos"], settings)
    tracker = Tracker(warn=pytest.fail, root=root)
    tracker.backfill(models, metrics)

    _write_results(root, ["text"], settings)

    assert tracker.backfill(models, metrics) == 1
    by_name = runs()
    assert by_name["text"].data.tags[PARENT] == by_name["dos"].data.tags[PARENT]


def test_a_result_that_lost_only_its_end_keeps_its_run(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    models, metrics = _write_results(root, ["crystal+dos"], settings)
    tracker = Tracker(warn=pytest.fail, root=root)
    parent = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)
    child = tracker.start_combination(parent, settings, parse_combination("crystal+dos"), 0)

    assert tracker.backfill(models, metrics, parent=parent) == 1

    evaluation = _evaluation("crystal+dos") | {"data_md5": "old.dir", "git_commit": "abc-dirty"}
    assert tracker.run_of(evaluation, parent=parent) == child
    assert runs()["crystal+dos"].info.run_id == child
    assert runs()["crystal+dos"].info.status == "FINISHED"


def test_a_combination_that_failed_is_not_backfilled(root: Path, settings: Settings) -> None:
    write_json(root / "metrics" / "dos.json", {"combination": "dos", "error": "it failed"})

    assert Tracker(warn=pytest.fail, root=root).backfill(root / "models", root / "metrics") == 0


def test_the_comparison_is_kept_with_its_ablation(root: Path, settings: Settings) -> None:
    from mlflow import MlflowClient

    models, metrics = _write_results(root, ["crystal"], settings)
    tracker = Tracker(warn=pytest.fail, root=root)
    tracker.backfill(models, metrics)
    table = root / "comparison.md"
    table.write_text("# Comparison\n")

    evaluation = _metrics("crystal", data_md5="old.dir", git_commit="abc-dirty")
    tracker.log_comparison([evaluation], [table])

    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name("matbind").experiment_id
    parent = client.search_runs([experiment], "tags.`matbind.kind` = 'ablation'")[0]
    assert [a.path for a in client.list_artifacts(parent.info.run_id, "comparison")] == ["comparison/comparison.md"]


def test_a_broken_store_costs_one_sentence_and_nothing_else(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_text("this is no database, but long enough to be taken for one" * 20)
    warnings: list[str] = []

    tracker = Tracker(warn=warnings.append, root=tmp_path)
    parent = tracker.start_ablation(settings, fingerprint=FINGERPRINT, is_done=False)
    run_id = tracker.start_combination(parent, settings, parse_combination("dos"), 0)
    tracker.log_epoch(run_id, {"epoch": 1.0, "loss": 1.0})
    tracker.finish_combination(run_id, _evaluation("dos"), [])

    assert tracker._runs is None
    assert (parent, run_id) == (None, None)
    assert len(warnings) == 1
    assert warnings[0].startswith("MLflow cannot be used (")
    assert "\n" not in warnings[0]


def test_a_store_that_dies_on_the_way_costs_one_sentence(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    tracker = Tracker(warn=warnings.append, root=root)
    run_id = tracker.start_combination(None, settings, parse_combination("dos"), 0)
    (root / "mlflow.db").write_text("overwritten" * 100)

    tracker.log_epoch(run_id, {"epoch": 1.0, "loss": 1.0})
    tracker.finish_combination(run_id, _evaluation("dos"), [])

    assert len(warnings) == 1


def test_the_users_own_store_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////somewhere/else.db")

    assert tracking_uri(tmp_path) == "sqlite:////somewhere/else.db"


def test_the_users_own_experiment_is_respected(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "annealing")
    run_id = Tracker(warn=pytest.fail, root=root).start_combination(None, settings, parse_combination("dos"), 0)

    client = MlflowClient(tracking_uri(root))
    assert client.get_experiment(client.get_run(run_id).info.experiment_id).name == "annealing"


def test_a_validation_is_a_run_with_its_counts_and_its_report(
    root: Path, settings: Settings, runs: Callable[[], dict[str, Any]]
) -> None:
    (root / "index.html").write_text("<p>sound</p>")
    counts = {"values": 10, "quarantined": 1, "share": 0.1}

    Tracker(warn=pytest.fail, root=root).log_validation(
        settings, {"passed": True, "modalities": {"dos": counts}}, [root / "index.html"]
    )

    (run,) = runs().values()
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"dos.values": 10, "dos.quarantined": 1, "dos.share": 0.1}
    assert run.data.tags["passed"] == "true"
    assert (root / "mlartifacts" / run.info.run_id / "artifacts/validation/index.html").exists()
