"""The registered models: one name a combination, versions of it, their evaluation, and aliases such as `challenger`.

A version counts if it says which content it was made of: it is created in one step, with all its tags, after all its
files are in the store. So a process that dies on the way leaves nothing that could be taken for a version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError, did_you_mean
from matbind.base.files import read_json
from matbind.modalities.combinations import parse_combination
from matbind.tracking.store import connect, reason_of, tracking_uri

PREFIX = "matbind-"
STORE_VARIABLE = "MLFLOW_TRACKING_URI"
CHALLENGER, CHAMPION = "challenger", "champion"
DIGEST, EVALUATION_DIGEST = "matbind.digest", "matbind.evaluation"
EVALUATION_FILE = "evaluation.json"
SEEDS = "seeds"  # of all trainings that the evaluation is the mean of
MODEL_FILES = "artifacts/model"  # of the files of a registered model: what a searcher reads
_REFERENCE = re.compile(r"(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<number>\d+))")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str  # of the registered model
    number: int  # of the version, from 1
    run_id: str | None  # the run that trained it, None if the store has none
    model_id: str  # of the logged model that holds its files
    # Combination, hub, spokes, data_md5, git_commit, test_set_digest, preset, run_id, digests, main figures:
    tags: Mapping[str, str] = field(default_factory=dict)
    created_ms: int = 0  # when, milliseconds since 1970

    @property
    def digest(self) -> str:
        """Digest of all that it was made of."""
        return self.tags[DIGEST]

    @property
    def combination(self) -> str:
        """Its modalities, such as ``crystal+dos``."""
        return self.tags["combination"]


def registered_name(combination: str) -> str:
    """Return the name of a combination in the registry: a plus sign would have to be escaped in addresses."""
    return PREFIX + combination.replace("+", "-")


class Registry:
    """The registered models of a store."""

    def __init__(self, root: Path = Path()) -> None:
        """Open the store.

        Args:
            root: the project directory: its SQLite store is used unless MLFLOW_TRACKING_URI names another.

        Raises:
            UserError: if the store cannot be used.
        """
        self._root = root
        self.connect()

    def connect(self) -> None:
        """Make MLflow's client of the store.

        Raises:
            UserError: if the store cannot be used.
        """
        with self.usable():
            self.client, self.experiment = connect(self._root)

    def names(self) -> list[str]:
        """Return the names of the registered models of combinations, sorted."""
        search, terms = self.client.search_registered_models, f"name LIKE '{PREFIX}%'"
        return sorted(model.name for model in self.all_pages(lambda token: search(terms, page_token=token)))

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a registered model that count, the newest first; none if there is no such model."""
        if "'" in name:
            raise UserError(f"the name {name!r} holds a quotation mark, expected the name of a registered model")
        with self.usable():
            present = self.client.search_model_versions(f"name = '{name}'")
        versions = [
            Version(
                name=version.name,
                number=int(version.version),
                run_id=version.run_id or None,
                # A search does not tell the model by its id in every store, but by its source.
                model_id=version.model_id or str(version.source).removeprefix("models:/"),
                tags=dict(version.tags),
                created_ms=int(version.creation_timestamp or 0),
            )
            for version in present
            if DIGEST in version.tags
        ]
        return sorted(versions, key=lambda version: -version.number)

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version numbers of a registered model's aliases."""
        from mlflow.exceptions import MlflowException

        with self.usable():
            try:
                return {alias: int(n) for alias, n in self.client.get_registered_model(name).aliases.items()}
            except MlflowException as error:
                if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return {}
                raise

    def labels(self, name: str) -> tuple[dict[str, int], dict[str, str]]:
        """Return the version numbers of a registered model's aliases, and the model's tags."""
        with self.usable():
            model = self.client.get_registered_model(name)
        return {alias: int(number) for alias, number in model.aliases.items()}, dict(model.tags)

    def runs_about(self, name: str, experiment: str) -> list[tuple[str, str, dict[str, str]]]:
        """Return id, status and tags of the runs of an experiment that tell of a registered model."""
        with self.usable():
            known = self.client.get_experiment_by_name(experiment)
        if known is None:
            return []
        ids, terms = [known.experiment_id], f"tags.model = '{name}'"
        runs = self.all_pages(lambda token: self.client.search_runs(ids, terms, page_token=token))
        return [(run.info.run_id, run.info.status, dict(run.data.tags)) for run in runs]

    def set_alias(self, version: Version, alias: str) -> None:
        """Point an alias to a version; it leaves the version it pointed to."""
        with self.usable():
            self.client.set_registered_model_alias(version.name, alias, str(version.number))

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away."""
        with self.usable():
            self.client.delete_registered_model_alias(name, alias)

    def set_tags(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version, in the given order."""
        with self.usable():
            for key, value in tags.items():
                self.client.set_model_version_tag(version.name, str(version.number), key, value)

    def evaluation(self, version: Version) -> dict[str, Any]:
        """Return the content of the metrics file that a version was registered with.

        Raises:
            UserError: if it is not there.
        """
        try:
            path = self.fetch(version.model_id, EVALUATION_FILE)
        except UserError as error:
            raise UserError(
                f"{version.name} version {version.number}: it has no {EVALUATION_FILE} ({error}); if the project was "
                "moved, its mlartifacts belong beside its mlflow.db"
            ) from error
        return dict(read_json(path))

    def resolve(self, reference: str) -> Version:
        """Return the version that a user means.

        Args:
            reference: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, with or without ``models:/``; or a name
                alone, for its champion, else its challenger. A combination such as ``crystal+pxrd`` is as good as a
                name.

        Raises:
            UserError: if there is no such version.
        """
        given = reference.removeprefix("models:/")
        match = _REFERENCE.fullmatch(given)
        name = name_of(match["name"] if match else given)
        versions, aliases = {version.number: version for version in self.versions(name)}, self.aliases(name)
        if not versions:
            raise UserError(self.missing(match["name"] if match else given))
        if match is None:
            number = next((aliases[alias] for alias in (CHAMPION, CHALLENGER) if aliases.get(alias) in versions), None)
            missing = f"no {CHAMPION} and no {CHALLENGER}"
        elif match["alias"]:
            number, missing = aliases.get(match["alias"]), f"no version with the alias {match['alias']}"
        else:
            number = int(match["number"])
            missing = f"no version {number}"
        if number in versions:
            return versions[number]
        has = [f"{name}@{alias}" for alias in aliases] + [f"{name}/{known}" for known in versions]
        raise UserError(f"the registered model {name} has {missing}, expected one of {', '.join(has)}")

    def missing(self, name: str) -> str:
        """Say that no model of a name is registered, which was meant, and which there are."""
        names = self.names()
        if not names:
            return f"there is no registered model {name}, none is registered yet: make run"
        given = _combination_in(name)
        is_combination = name_of(given) != given  # then it is spelt well and just not there
        meant = "" if is_combination else did_you_mean(given, map(_combination_in, names))
        return f"there is no registered model {name}{meant}, expected one of {', '.join(names)}"

    def fetch(self, model_id: str, path: str) -> Path:
        """Return a local copy of a file or directory of a logged model, or itself where the store is on this machine.

        Raises:
            UserError: if it is not there.
        """
        from mlflow.artifacts import download_artifacts

        with self.usable():
            uri = f"{self.client.get_logged_model(model_id).artifact_location.rstrip('/')}/{path}"
        try:
            return Path(download_artifacts(artifact_uri=uri, tracking_uri=tracking_uri(self._root)))
        except Exception as error:  # every kind of store raises its own
            reason = reason_of(error, self._root)
            raise UserError(
                f"{path} of the model {model_id} cannot be fetched ({reason}), expected it in the store"
            ) from error

    def all_pages(self, search: Callable[[str | None], Any]) -> list[Any]:
        """Return all that a search of the store finds, which gives the page of a token, the first of None."""
        items: list[Any] = []
        token: str | None = None
        while True:
            with self.usable():
                page = search(token)
            items += page
            token = page.token
            if not token:
                return items

    @contextmanager
    def as_default_store(self) -> Iterator[None]:
        """While a version is made, MLflow looks for its model in the store of its global settings: let that be ours."""
        before = os.environ.get(STORE_VARIABLE)
        os.environ[STORE_VARIABLE] = tracking_uri(self._root)
        try:
            yield
        finally:
            del os.environ[STORE_VARIABLE]
            os.environ.update({} if before is None else {STORE_VARIABLE: before})

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Say in one sentence what is wrong with the store.

        Raises:
            UserError: for whatever the store, its driver or the network raises.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"the registry of models cannot be used: {reason_of(error, self._root)}") from error


def name_of(given: str) -> str:
    """Return the registered name that a user means: itself, or that of a combination such as ``text+crystal``."""
    try:
        return registered_name(parse_combination(given).name)
    except ValueError:
        return given


def _combination_in(name: str) -> str:
    return name.removeprefix(PREFIX).replace("-", "+")
