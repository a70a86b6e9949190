from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from matbind.base.files import VALID
from matbind.base.provenance import dvc_md5
from matbind.registry.registrar import CARD
from matbind.registry.registry import CHALLENGER, Registry
from matbind.tracking.record import result_digest
from matbind.tracking.tracker import Tracker
from tests.factories import needs_sample, real_features, small_run
from tests.registry.registered import register, registrar, registry_in
from tests.serving.trained import EVERYTHING, bundle, trained
from tests.tracking.stores import write_records

pytestmark = needs_sample
NAME = "matbind-crystal-dos-pxrd-text"
REGISTER_AND_WAIT = """
import sys, time
from pathlib import Path
from matbind.base.files import read_json
from matbind.modalities.combinations import parse_combination
from matbind.registry.registry import Registry
from matbind.registry.registrar import Registrar

root, features, models, metrics, bundle, step = sys.argv[1:]
registry = Registry(Path(root))

def wait(*arguments, **options):
    print("waiting", flush=True)
    time.sleep(600)

setattr(registry.client, step, wait)
evaluation = read_json(Path(metrics))
registrar = Registrar(registry, features=Path(features), models=Path(models))
registrar.register(parse_combination(evaluation["combination"]), evaluation, bundle=Path(bundle))
"""


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path)


def logged(registry: Registry) -> list[str]:
    return [str(model.status) for model in registry.client.search_logged_models([registry.experiment])]


def retrained(project: Path) -> Path:
    """The models again, with other weights."""
    import shutil

    shutil.copytree(trained().models, project / "models")
    path = project / "models" / EVERYTHING / "seed-0" / "model.safetensors"
    weights = load_file(path)
    weights["log_scale.dos"] = np.asarray(weights["log_scale.dos"] + 0.5)
    save_file(weights, path)
    return project / "models"


def test_a_trained_model_becomes_a_version(registry: Registry) -> None:
    version, is_new = register(registry)

    assert is_new
    assert version == registry.versions(NAME)[0]
    assert registry.aliases(NAME) == {CHALLENGER: 1}


def test_its_tags_tell_where_it_comes_from_and_how_well_it_does(registry: Registry) -> None:
    evaluation = trained().evaluation | {"data_md5": "12.dir", "git_commit": "abc-dirty", "run_id": "r1"}

    tags = register(registry, evaluation)[0].tags

    assert {
        key: tags[key] for key in ("combination", "hub", "spokes", "preset", "data_md5", "git_commit", "run_id")
    } == {
        "combination": EVERYTHING,
        "hub": "crystal",
        "spokes": "dos,pxrd,text",
        "preset": "smoke",
        "data_md5": "12.dir",
        "git_commit": "abc-dirty",
        "run_id": "r1",
    }
    assert len(tags["test_set_digest"]) == 32
    assert 0 <= float(tags["recall_at_1.aligned_mean"]) <= 1


def test_the_same_model_makes_no_second_version(registry: Registry) -> None:
    first, _ = register(registry)

    assert register(registry) == (first, False)
    assert logged(registry) == ["READY"]


def test_other_weights_make_a_new_version_and_take_the_alias(registry: Registry, tmp_path: Path) -> None:
    register(registry)
    other = registrar(registry, retrained(tmp_path))
    assert other.lacks(trained().combination)

    version, is_new = other.register(trained().combination, trained().evaluation, bundle=bundle())

    assert (is_new, version.number) == (True, 2)
    assert registry.aliases(NAME) == {CHALLENGER: 2}


def test_a_model_that_comes_back_takes_the_alias_back(registry: Registry, tmp_path: Path) -> None:
    register(registry)
    registrar(registry, retrained(tmp_path)).register(trained().combination, trained().evaluation, bundle=bundle())

    version, is_new = register(registry)

    assert (is_new, version.number) == (False, 1)
    assert registry.aliases(NAME) == {CHALLENGER: 1}


def test_a_new_evaluation_of_the_same_model_replaces_the_old_one(registry: Registry) -> None:
    register(registry)
    changed = trained().evaluation | {"git_commit": "later"}

    _, is_new = register(registry, changed)

    version = registry.versions(NAME)[0]
    assert (is_new, version.number, version.tags["git_commit"]) == (False, 1, "later")
    assert registry.evaluation(version)["git_commit"] == "later"
    assert "code `later`" in registry.client.get_model_version(NAME, "1").description


def test_its_description_is_the_model_card_beside_its_files(registry: Registry) -> None:
    version, _ = register(registry)

    described = registry.client.get_model_version(NAME, "1").description

    assert described == registry.fetch(version.model_id, CARD).read_text()
    assert described.startswith("# matbind crystal+dos+pxrd+text\n")


def _evaluated(tmp_path: Path, evaluation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Track the evaluation of a model; return the run, and the evaluation that names it."""
    if not (tmp_path / VALID).exists():
        write_records(tmp_path)
    tracker = Tracker(warn=pytest.fail, root=tmp_path)
    run_id = tracker.start_combination(None, small_run(), trained().combination, 0)
    training = evaluation["trainings"][0] | {"run_id": run_id, "git_commit": evaluation.get("git_commit")}
    tracker.finish_combination(run_id, training, [])
    return run_id, evaluation | {"run_id": run_id, "trainings": [training]}


def test_run_and_model_name_each_other_and_the_model_shows_recall_by_dataset(
    registry: Registry, tmp_path: Path
) -> None:
    run_id, evaluation = _evaluated(tmp_path, trained().evaluation)
    points = len(registry.client.get_metric_history(run_id, "recall_at_1.text_to_dos"))

    version, _ = register(registry, evaluation)

    run = registry.client.get_run(run_id)
    model = registry.client.get_logged_model(version.model_id)
    shown = {metric.key: metric for metric in model.metrics}
    recall = shown["recall_at_1.text_to_dos"]
    assert (version.run_id, model.source_run_id) == (run_id, run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [version.model_id]
    assert recall.value == evaluation["pairs"]["text->dos"]["recall_at_1"]
    assert (recall.dataset_name, recall.dataset_digest) == ("test", dvc_md5(tmp_path / VALID))
    assert shown["validation_recall_at_1"].dataset_name == "validation"
    assert len(registry.client.get_metric_history(run_id, "recall_at_1.text_to_dos")) == points


def test_a_model_names_its_version_and_the_settings_it_was_trained_with(registry: Registry) -> None:
    model = registry.client.get_logged_model(register(registry)[0].model_id)

    settings = json.loads((trained().directory / "settings.json").read_text())
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": "1"}]
    assert model.params["training.epochs"] == str(settings["training"]["epochs"])


def test_a_run_that_evaluated_a_model_anew_has_it_as_an_input(registry: Registry, tmp_path: Path) -> None:
    trained_by, evaluation = _evaluated(tmp_path, trained().evaluation)
    register(registry, evaluation)
    evaluated_by, later = _evaluated(tmp_path, evaluation | {"git_commit": "later"})

    version, _ = register(registry, later)

    run = registry.client.get_run(evaluated_by)
    assert [entry.model_id for entry in run.inputs.model_inputs] == [version.model_id]
    assert run.outputs.model_outputs == []
    sources = {metric.run_id for metric in registry.client.get_logged_model(version.model_id).metrics}
    assert sources == {trained_by, evaluated_by}


def test_a_combination_of_one_has_no_spokes_to_tell(registry: Registry) -> None:
    assert "spokes" not in register(registry, name="text")[0].tags


@pytest.mark.parametrize(
    ("step", "left", "kept"),
    [("finalize_logged_model", "PENDING", "nothing"), ("create_model_version", "READY", "all")],
)
def test_a_registration_that_was_killed_counts_for_nothing_and_is_repaired(
    step: str, left: str, kept: str, registry: Registry, tmp_path: Path
) -> None:
    metrics = trained().metrics / f"{EVERYTHING}.json"
    where = [str(path) for path in (tmp_path, real_features(), trained().models, metrics, bundle())]
    with subprocess.Popen(
        [sys.executable, "-c", REGISTER_AND_WAIT, *where, step], stdout=subprocess.PIPE, env={**os.environ}, text=True
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGKILL)
    assert registry.versions(NAME) == []
    assert logged(registry) == [left]
    before = {model.model_id for model in registry.client.search_logged_models([registry.experiment])}

    version, is_new = register(registry)

    assert (is_new, version.number) == (True, 1)
    assert registry.aliases(NAME) == {CHALLENGER: 1}
    assert logged(registry) == ["READY"]
    assert ("all" if version.model_id in before else "nothing") == kept


def test_the_evaluation_is_known_by_its_digest(registry: Registry) -> None:
    assert register(registry)[0].tags["matbind.evaluation"] == result_digest(trained().evaluation)
