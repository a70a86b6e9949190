from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from matbind.registry.registrar import CARD
from matbind.registry.registry import CHALLENGER, Registry
from matbind.tracking.record import result_digest
from matbind.tracking.tracker import Tracker
from tests.factories import needs_sample, real_features, small_run
from tests.registry.registered import register, registrar, registry_in
from tests.serving.trained import EVERYTHING, bundle, trained

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
    path = project / "models" / EVERYTHING / "model.safetensors"
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


def test_it_names_the_run_that_trained_it_and_shows_its_figures(registry: Registry, tmp_path: Path) -> None:
    tracker = Tracker(warn=pytest.fail, root=tmp_path)
    run_id = tracker.start_combination(None, small_run(), trained().combination)
    evaluation = trained().evaluation | {"run_id": run_id}
    tracker.finish_combination(run_id, evaluation, [])
    points = len(registry.client.get_metric_history(run_id, "recall_at_1.text_to_dos"))

    version, _ = register(registry, evaluation)

    shown = {metric.key: metric.value for metric in registry.client.get_logged_model(version.model_id).metrics}
    assert version.run_id == run_id
    assert shown["recall_at_1.text_to_dos"] == evaluation["pairs"]["text->dos"]["recall_at_1"]
    assert len(registry.client.get_metric_history(run_id, "recall_at_1.text_to_dos")) == points


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
