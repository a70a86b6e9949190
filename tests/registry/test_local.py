"""The registry that reads SQLite says what MLflow says."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.registry.local import LocalRegistry
from matbind.registry.registry import CHAMPION, MODEL_FILES, Registry
from tests.factories import needs_sample
from tests.registry.registered import register, registry_in
from tests.serving.trained import EVERYTHING

pytestmark = needs_sample
NAME = "matbind-crystal-dos-pxrd-text"


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two versions that count, one deleted, one without a digest, and another model."""
    directory = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry = registry_in(directory)
        version, _ = register(registry)
        for tags in ({"matbind.digest": "d", "combination": EVERYTHING}, {"matbind.digest": "deleted"}, {}):
            registry.client.create_model_version(NAME, version.model_id, tags=tags)
        registry.client.delete_model_version(NAME, "3")
        registry.set_alias(version, CHAMPION)
        registry.client.create_registered_model("of-another-project")
    return directory


def test_the_names_are_those_of_mlflow(root: Path) -> None:
    assert LocalRegistry(root).names() == Registry(root).names() == [NAME]


def test_the_versions_are_those_of_mlflow(root: Path) -> None:
    versions = LocalRegistry(root).versions(NAME)

    assert versions == Registry(root).versions(NAME)
    assert [version.number for version in versions] == [2, 1]


def test_the_aliases_are_those_of_mlflow(root: Path) -> None:
    assert LocalRegistry(root).aliases(NAME) == Registry(root).aliases(NAME)


def test_the_labels_are_those_of_mlflow(root: Path) -> None:
    assert LocalRegistry(root).labels(NAME) == Registry(root).labels(NAME)


def test_the_runs_about_a_model_are_those_of_mlflow(root: Path) -> None:
    registry = Registry(root)
    experiment = registry.client.create_experiment("decisions")
    for tags in ({"model": NAME, "why": "because"}, {"model": "another"}, {}):
        registry.client.create_run(experiment, tags=tags)

    assert LocalRegistry(root).runs_about(NAME, "decisions") == registry.runs_about(NAME, "decisions")


def test_an_unknown_model_has_no_versions_and_no_aliases(root: Path) -> None:
    registry = LocalRegistry(root)

    assert (registry.versions("matbind-nothing"), registry.aliases("matbind-nothing")) == ([], {})


def test_the_files_are_those_of_mlflow(root: Path) -> None:
    version = LocalRegistry(root).resolve(NAME)

    assert LocalRegistry(root).fetch(version.model_id, MODEL_FILES) == Registry(root).fetch(
        version.model_id, MODEL_FILES
    )


def test_a_missing_file_is_said_as_mlflow_finds_it(root: Path) -> None:
    registry = LocalRegistry(root)

    with pytest.raises(UserError, match=r"nothing of the model .* cannot be fetched"):
        registry.fetch(registry.resolve(NAME).model_id, "nothing")


def test_mlflow_is_asked_about_tables_that_are_not_its_own(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be looked at")

    with pytest.raises(UserError, match=r"the registry of models cannot be used: .*mlflow\.db is no database"):
        LocalRegistry(tmp_path)


def test_a_project_that_was_moved_is_found_in_its_new_place(root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    registry = LocalRegistry(moved)

    path = registry.fetch(registry.resolve(NAME).model_id, MODEL_FILES)

    assert path.is_relative_to(moved)
    with closing(sqlite3.connect(moved / "mlflow.db")) as connection:
        [location] = connection.execute("SELECT artifact_location FROM experiments WHERE name = 'matbind'").fetchone()
    assert location == (moved / "mlartifacts").as_uri()
