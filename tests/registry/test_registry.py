from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.registry.registry import CHALLENGER, CHAMPION, Registry, registered_name
from tests.factories import needs_sample
from tests.registry.registered import register, registry_in
from tests.serving.trained import EVERYTHING, trained

pytestmark = needs_sample
NAME = "matbind-crystal-dos-pxrd-text"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A store with one version of one model; tests that read it leave it as it is."""
    registry = registry_in(tmp_path_factory.mktemp("store"))
    register(registry)
    return registry


@pytest.fixture
def fresh_registry(tmp_path: Path) -> Registry:
    """A store with one version of one model, that a test may change."""
    registry = registry_in(tmp_path)
    register(registry)
    return registry


def test_a_name_needs_no_escapes_in_addresses() -> None:
    assert registered_name(EVERYTHING) == NAME


def test_a_version_tells_what_it_is(registry: Registry) -> None:
    [version] = registry.versions(NAME)

    assert (version.name, version.number, version.combination) == (NAME, 1, EVERYTHING)
    assert version.created_ms > 0


def test_an_unknown_model_has_no_versions_and_no_aliases(registry: Registry) -> None:
    assert registry.versions("matbind-nothing") == []
    assert registry.aliases("matbind-nothing") == {}


def test_a_version_without_a_digest_does_not_count(fresh_registry: Registry) -> None:
    fresh_registry.client.create_model_version(NAME, "somewhere")

    assert [version.number for version in fresh_registry.versions(NAME)] == [1]


def test_the_evaluation_is_the_metrics_file(registry: Registry) -> None:
    assert registry.evaluation(registry.versions(NAME)[0]) == trained().evaluation


def test_a_missing_evaluation_is_said(fresh_registry: Registry) -> None:
    [version] = fresh_registry.versions(NAME)
    artifacts = fresh_registry.client.get_logged_model(version.model_id).artifact_location
    Path(artifacts.removeprefix("file://"), "evaluation.json").unlink()

    with pytest.raises(UserError, match=f"{NAME} version 1: it has no evaluation.json .* its mlartifacts belong"):
        fresh_registry.evaluation(version)


def test_an_alias_points_to_a_version_and_is_taken_away(fresh_registry: Registry) -> None:
    [version] = fresh_registry.versions(NAME)

    fresh_registry.set_alias(version, CHAMPION)
    assert fresh_registry.aliases(NAME) == {CHALLENGER: 1, CHAMPION: 1}
    fresh_registry.delete_alias(NAME, CHAMPION)
    assert fresh_registry.aliases(NAME) == {CHALLENGER: 1}


def test_tags_are_set(fresh_registry: Registry) -> None:
    fresh_registry.set_tags(fresh_registry.versions(NAME)[0], {"stage": "staging"})

    assert fresh_registry.versions(NAME)[0].tags["stage"] == "staging"


@pytest.mark.parametrize(
    "reference",
    [
        f"models:/{NAME}@challenger",
        f"models:/{NAME}/1",
        f"{NAME}@challenger",
        f"{NAME}/1",
        NAME,
        EVERYTHING,
        "text+crystal+pxrd+dos@challenger",
    ],
)
def test_a_reference_is_resolved(registry: Registry, reference: str) -> None:
    assert registry.resolve(reference).number == 1


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (f"{NAME}@champion", f"no version with the alias champion, expected one of {NAME}@challenger, {NAME}/1"),
        (f"{NAME}/2", f"no version 2, expected one of {NAME}@challenger, {NAME}/1"),
        ("matbind-x", f"there is no registered model matbind-x, expected one of {NAME}$"),
        ("matbind-crystal-dos", f"there is no registered model matbind-crystal-dos, expected one of {NAME}$"),
        (
            "crystal+dos+pxdr+text@champion",
            r"pxdr\+text \(did you mean crystal\+dos\+pxrd\+text\?\), expected",
        ),
        ("it's", "holds a quotation mark"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(registry: Registry, reference: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        registry.resolve(reference)


def test_a_name_means_its_champion_before_its_challenger(fresh_registry: Registry) -> None:
    fresh_registry.client.create_model_version(
        NAME, "somewhere", tags={"matbind.digest": "d", "combination": EVERYTHING}
    )
    first, second = fresh_registry.versions(NAME)[1], fresh_registry.versions(NAME)[0]
    fresh_registry.set_alias(second, CHALLENGER)
    fresh_registry.set_alias(first, CHAMPION)

    assert fresh_registry.resolve(NAME).number == 1


def test_a_store_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be looked at")

    with pytest.raises(UserError, match=r"the registry of models cannot be used: .*mlflow\.db is no database"):
        Registry(tmp_path)
