"""The registered models of an SQLite file on this machine, read without MLflow: its import takes longer than a search.

The tables are those of MLflow's store. Where they are others, or the files are not where the database says, MLflow is
asked after all, which knows what to do or says what is wrong.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from matbind.registry.registry import DIGEST, PREFIX, STORE_VARIABLE, Registry, Version
from matbind.tracking.moved import old_place
from matbind.tracking.store import ARTIFACTS, tracking_uri

SQLITE = "sqlite:///"
MODELS, ALIASES, LOCATIONS, PROJECT = (
    "SELECT name FROM registered_models",
    "SELECT name, alias, version FROM registered_model_aliases",
    "SELECT model_id, artifact_location FROM logged_models",
    "SELECT artifact_location FROM experiments WHERE experiment_id != 0",
)
VERSIONS = """
    SELECT name, version, run_id, source, creation_time FROM model_versions
    WHERE current_stage IS NOT 'Deleted_Internal' ORDER BY version DESC
"""
MODEL_TAGS = "SELECT name, key, value FROM registered_model_tags"
RUN_TAGS = """
    SELECT runs.run_uuid, runs.status, experiments.name, tags.key, tags.value
    FROM runs JOIN experiments USING (experiment_id) JOIN tags USING (run_uuid)
    WHERE runs.lifecycle_stage = 'active' AND runs.run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'model')
"""
TAGS = "SELECT name, version, key, value FROM model_version_tags"


class LocalRegistry(Registry):
    """The registered models of a store, to read only; MLflow is imported only where it is needed."""

    def connect(self) -> None:
        """Read all of an SQLite file, or make MLflow's client."""
        self._versions: dict[str, list[Version]] | None = None
        uri = tracking_uri(self._root)
        try:
            if uri.startswith(SQLITE):
                self._read(Path(uri.removeprefix(SQLITE)))
        except sqlite3.Error:
            self._versions = None
        if self._versions is None:
            super().connect()

    def names(self) -> list[str]:
        """Return the names of the registered models of combinations, sorted."""
        return super().names() if self._versions is None else sorted(self._versions)

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a registered model that count, the newest first; none if there is no such model."""
        return super().versions(name) if self._versions is None else self._versions.get(name, [])

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version numbers of a registered model's aliases."""
        return super().aliases(name) if self._versions is None else self._aliases[name]

    def labels(self, name: str) -> tuple[dict[str, int], dict[str, str]]:
        """Return the version numbers of a registered model's aliases, and the model's tags."""
        return super().labels(name) if self._versions is None else (self._aliases[name], self._tags[name])

    def runs_about(self, name: str, experiment: str) -> list[tuple[str, str, dict[str, str]]]:
        """Return id, status and tags of the runs of an experiment that tell of a registered model."""
        if self._versions is None:
            return super().runs_about(name, experiment)
        runs: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for run_id, status, in_experiment, key, value in self._run_tags:
            if in_experiment == experiment:
                runs[run_id, status][key] = value
        return [(run_id, status, tags) for (run_id, status), tags in runs.items() if tags.get("model") == name]

    def fetch(self, model_id: str, path: str) -> Path:
        """Return a file or directory of a logged model, or a copy of it.

        Raises:
            UserError: if it is not there.
        """
        if self._versions is not None:
            url = urlsplit(self._locations[model_id])
            file = Path(unquote(url.path)) / path
            if url.scheme == "file" and file.exists():
                return file
            super().connect()
        return super().fetch(model_id, path)

    def _read(self, database: Path) -> None:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            places = [place for (place,) in connection.execute(PROJECT)]
            if not os.environ.get(STORE_VARIABLE) and any(old_place(place, database, ARTIFACTS) for place in places):
                return  # the project was moved, which only `connect` of the tracking room mends
            self._locations = dict(connection.execute(LOCATIONS).fetchall())
            self._aliases: dict[str, dict[str, int]] = defaultdict(dict)
            for name, alias, number in connection.execute(ALIASES):
                self._aliases[name][alias] = int(number)
            self._run_tags = connection.execute(RUN_TAGS).fetchall()
            self._tags: dict[str, dict[str, str]] = defaultdict(dict)
            for name, key, value in connection.execute(MODEL_TAGS):
                self._tags[name][key] = value
            tags: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
            for name, number, key, value in connection.execute(TAGS):
                tags[name, number][key] = value
            versions: dict[str, list[Version]] = {
                name: [] for (name,) in connection.execute(MODELS) if name.startswith(PREFIX)
            }
            for name, number, run_id, source, created_ms in connection.execute(VERSIONS):
                if name in versions and DIGEST in tags[name, number]:
                    model_id = str(source).removeprefix("models:/")
                    version = Version(name, number, run_id or None, model_id, tags[name, number], created_ms or 0)
                    versions[name].append(version)
            self._versions = versions
