"""A project that is moved or copied takes its runs and models along; MLflow itself keeps whole paths."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from matbind.tracking.moved import PLACES
from matbind.tracking.store import ARTIFACTS, DATABASE, connect
from tests.tracking.stores import copy_store

NAME = "matbind-text"


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a run and a registered model, each with a file; its name has to be quoted in a URI."""
    root = tmp_path / "my project"
    root.mkdir()
    copy_store(root)
    client, experiment = connect(root)
    (root / "files").mkdir()
    (root / "files" / "kept.txt").write_text("kept")
    client.log_artifacts(client.create_run(experiment).info.run_id, str(root / "files"))
    model = client.create_logged_model(experiment, name=NAME)
    client.log_model_artifacts(model.model_id, str(root / "files"))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model(NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / DATABASE}")
        client.create_model_version(NAME, f"models:/{model.model_id}", model_id=model.model_id)
    return root


def places(root: Path) -> set[str]:
    """Every path that the database of a project speaks of."""
    with closing(sqlite3.connect(root / DATABASE)) as database:
        return {
            place
            for table, columns in PLACES.items()
            for column in columns
            for (place,) in database.execute(f"SELECT {column} FROM {table}")  # noqa: S608
            if place and "/" in place and not place.startswith("models:/")
        }


def kept(root: Path) -> list[str]:
    """What the file of every run in a project says, found by the project's own store."""
    client, experiment = connect(root)
    paths = [
        client.download_artifacts(run.info.run_id, "kept.txt", str(root)) for run in client.search_runs([experiment])
    ]
    return [Path(path).read_text() for path in paths]


def test_a_moved_project_finds_its_files(project: Path, tmp_path: Path) -> None:
    moved = project.rename(tmp_path / "else where")

    assert kept(moved) == ["kept"]
    assert all("my%20project" not in place and "my project" not in place for place in places(moved))
    assert any(place.startswith((moved / ARTIFACTS).as_uri()) for place in places(moved))


def test_a_copy_writes_into_its_own_files_and_leaves_the_original(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    before = places(project)

    client, experiment = connect(copy)
    run = client.create_run(experiment)

    assert run.info.artifact_uri.startswith((copy / ARTIFACTS).as_uri())
    assert places(project) == before
    assert kept(project) == ["kept"]


def test_artifacts_that_are_kept_elsewhere_on_purpose_stay_there(tmp_path: Path) -> None:
    """A store on a larger disk: no project of its own beside it."""
    large = tmp_path / "large" / ARTIFACTS
    large.mkdir(parents=True)
    root = tmp_path / "project"
    (root / ARTIFACTS).mkdir(parents=True)
    copy_store(root)
    _set_location(root, large.as_uri())

    client, experiment = connect(root)

    assert client.get_experiment(experiment).artifact_location == large.as_uri()


@pytest.mark.parametrize("location", ["s3://bucket/mlartifacts", "mlflow-artifacts:/1"])
def test_a_place_that_is_no_directory_stays(location: str, tmp_path: Path) -> None:
    copy_store(tmp_path)
    (tmp_path / ARTIFACTS).mkdir()
    _set_location(tmp_path, location)

    client, experiment = connect(tmp_path)

    assert client.get_experiment(experiment).artifact_location == location


def test_every_place_of_the_tables_that_names_a_file_is_known(project: Path) -> None:
    """A column that a newer MLflow adds would be left behind."""
    named: dict[str, set[str]] = {}
    with closing(sqlite3.connect(project / DATABASE)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                like = f"SELECT count(*) FROM {table} WHERE CAST({column} AS TEXT) LIKE '%' || ? || '%'"  # noqa: S608
                if database.execute(like, [ARTIFACTS]).fetchone()[0]:
                    named.setdefault(table, set()).add(column)

    assert all(columns <= set(PLACES[table]) for table, columns in named.items())
    assert {"experiments", "runs", "logged_models", "model_versions"} == set(named)


def _set_location(root: Path, location: str) -> None:
    with closing(sqlite3.connect(root / DATABASE)) as database, database:
        database.execute("update experiments set artifact_location = ?", [location])
