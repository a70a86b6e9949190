from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from matbind.base.errors import UserError
from matbind.cli.main import app
from matbind.cli.models import _elements
from matbind.registry.promotion import promote as promotion
from matbind.registry.registry import CHAMPION, Registry
from tests.registry.promotion.promoted import COMBINATION, NAME, add_version, evaluation, write_features
from tests.registry.registered import registry_in

EVERYTHING = "crystal+dos+pxrd+text"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two registered models; of the first, version 2 replaced version 1 by force, and version 3 is in staging."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("GIT_CONFIG_GLOBAL", str(root / "gitconfig"))
        (root / "gitconfig").write_text("[user]\nname = Ann Lee\nemail = ann@example.org\n")
        registry, features = registry_in(root), write_features(root)
        where: dict[str, Any] = {"features": features, "root": root}
        for recall in (0.6, 0.4, 0.5):
            add_version(registry, evaluation(recall), features=features, files=root / "files")
        promotion.promote(COMBINATION, to="production", version=1, **where)
        promotion.promote(COMBINATION, to="production", version=2, force=True, reason="1 leaks", **where)
        promotion.promote(COMBINATION, to="staging", **where)
        add_version(registry, evaluation(0.5, combination=EVERYTHING), features=features, files=root / "files")
    return root


@pytest.fixture(autouse=True)
def _there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(project)


def run(*arguments: str) -> str:
    """What a command prints; what it raises is raised."""
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_models_are_listed_by_name_with_the_newest_version_first() -> None:
    lines = [line.split() for line in run("models").splitlines()]

    assert [line[0] for line in lines] == [
        "matbind-crystal-dos-pxrd-text",
        "version",
        "1",
        NAME,
        "version",
        "3",
        "2",
        "1",
    ]
    assert lines[2][1:8] == ["none", "challenger", "2/3", "0.500", "0.500", "12.dir", "abcdef01"]
    assert lines[5][1:7] == ["staging", "challenger", "staging", "2/3", "0.500", "-"]
    assert lines[6][1:5] == ["production", "champion", "2/3", "0.400"]
    assert lines[7][1:5] == ["archived", "-", "2/3", "0.600"]


def test_a_recall_of_nothing_is_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_version(registry_in(tmp_path), evaluation(0.0), features=write_features(tmp_path), files=tmp_path / "files")
    monkeypatch.chdir(tmp_path)

    assert run("models").splitlines()[2].split()[4] == "0.000"


def test_the_list_is_readable_at_100_columns() -> None:
    assert max(map(len, run("models").splitlines())) <= 100


def test_one_model_is_listed_by_its_combination() -> None:
    assert run("models", "pxrd+crystal").splitlines()[0] == NAME


def test_the_list_for_programs_has_stable_keys() -> None:
    everything, model = json.loads(run("models", "--json"))["models"]

    assert {key: model[key] for key in ("name", "combination", "champion", "staging")} == {
        "name": NAME,
        "combination": COMBINATION,
        "champion": 2,
        "staging": 3,
    }
    newest = model["versions"][0]
    assert newest.pop("registered_at").endswith("+00:00")
    assert len(newest.pop("test_set_digest")) == 32
    assert newest == {
        "version": 3,
        "stage": "staging",
        "aliases": ["challenger", "staging"],
        "seed": 2,
        "seeds": [0, 1, 2],
        "recall_at_1": {"aligned": 0.5, "emergent": None, "view": None},
        "data_md5": "12.dir",
        "git_commit": "abcdef01234",
        "run_id": None,
        "digest": "digest-3",
    }
    assert everything["champion"] is None


def test_the_history_tells_who_what_and_why() -> None:
    lines = run("models", NAME, "--history").splitlines()

    assert lines[0] == NAME
    assert lines[1].split()[3:] == ["promote", "done", "version", "1:", "none", "->", "production"]
    assert [line.strip() for line in lines[4:9]][1:] == [
        "by Ann Lee <ann@example.org>",
        "because 1 leaks",
        "forced in spite of mean, pairs",
        "recall@1 aligned 0.400 (version 2), aligned 0.600 (version 1)",
    ]
    assert lines[4].endswith("version 2: none -> production (in place of 1)")


def test_the_history_for_programs_is_the_trail() -> None:
    [model] = json.loads(run("models", NAME, "--history", "--json"))["models"]

    forced = model["promotions"][1]
    assert [entry["number"] for entry in model["promotions"]] == [1, 2, 3]
    assert {key: forced[key] for key in ("by", "from", "to", "replaced", "reason", "overridden", "outcome")} == {
        "by": "Ann Lee <ann@example.org>",
        "from": "none",
        "to": "production",
        "replaced": 1,
        "reason": "1 leaks",
        "overridden": ["mean", "pairs"],
        "outcome": "done",
    }


def test_a_model_that_nobody_promoted_has_no_history() -> None:
    assert run("models", EVERYTHING, "--history").splitlines() == ["matbind-crystal-dos-pxrd-text", "  no promotions"]


def test_an_unknown_model_is_told_with_those_that_are_there() -> None:
    with pytest.raises(
        UserError, match=f"no registered model text, expected one of matbind-crystal-dos-pxrd-text, {NAME}"
    ):
        run("models", "text")


def test_the_list_goes_by_the_aliases_whoever_set_them(project: Path) -> None:
    registry = Registry(project)
    versions = registry.versions(NAME)
    registry.set_alias(versions[2], CHAMPION)

    lines = run("models", NAME).splitlines()
    registry.set_alias(versions[1], CHAMPION)

    assert [line.split()[1] for line in lines[2:]] == ["staging", "archived", "production"]


def test_a_promotion_that_cannot_be_read_is_a_sentence_below_the_list(project: Path) -> None:
    client = Registry(project).client
    client.set_registered_model_tag(NAME, "promotion.0001.0a", "no JSON")

    lines = run("models", NAME).splitlines()
    client.delete_registered_model_tag(NAME, "promotion.0001.0a")

    assert lines[-1].startswith(f"{NAME}: an earlier version of matbind kept promotions in its tags")
    assert lines[-2].split()[:2] == ["1", "archived"]


def test_a_store_that_can_only_be_read_is_listed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Registry(project).client.set_model_version_tag(NAME, "1", "stage", "something else")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///file:{project}/mlflow.db?mode=ro&uri=true")

    assert run("models", NAME).splitlines()[4].split()[1] == "archived"


def test_no_models_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry_in(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert run("models") == "no model is registered yet: make run\n"
    assert json.loads(run("models", "--json")) == {"models": []}


def test_promote_says_what_was_done() -> None:
    assert run("promote", EVERYTHING, "--to", "staging") == (
        "matbind-crystal-dos-pxrd-text version 1 is in staging now (mean recall@1 of version 1: aligned 0.500)\n"
    )


def test_a_decision_is_printed_for_programs(project: Path) -> None:
    decision = json.loads(run("promote", NAME, "--to", "staging", "--version", "3", "--json"))

    assert {key: decision[key] for key in ("name", "accepted", "changed")} == {
        "name": NAME,
        "accepted": True,
        "changed": False,
    }
    assert decision["promotion"]["version"] == 3


def test_a_refusal_for_programs_is_printed_too_and_ends_with_2() -> None:
    done = CliRunner().invoke(app, ["promote", NAME, "--to", "archived", "--version", "2", "--json"])

    decision = json.loads(done.stdout)
    assert isinstance(done.exception, UserError)
    assert (decision["accepted"], decision["changed"]) == (False, False)
    assert decision["promotion"]["gates"][0]["passed"] is False


def test_rollback_goes_there_and_back(project: Path) -> None:
    assert "version 1 is in production now in place of version 2" in run("promote", NAME, "--rollback")
    assert Registry(project).aliases(NAME)[CHAMPION] == 1
    run("promote", NAME, "--to", "production", "--version", "2", "--force", "--reason", "back")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--to is missing, expected one of staging, production, archived, or --rollback"),
        (["--rollback", "--to", "staging"], "--rollback is given with --to, expected it with --reason at the most"),
        (["--rollback", "--version", "1"], "--rollback is given with --version"),
        (["--rollback", "--force"], "--rollback is given with --force"),
    ],
)
def test_options_that_do_not_go_together_are_said(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        run("promote", NAME, *arguments)


def test_provenance_of_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(UserError, match="nothing: no such model is in models"):
        run("provenance", "nothing")


def test_search_by_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(UserError, match="there is no registered model text, expected one of matbind-crystal-dos"):
        run("search", "pattern.xy", "--model", "text")


@pytest.mark.parametrize(
    ("given", "symbols"), [("fe", ("Fe",)), ("Ba,o  TI", ("Ba", "O", "Ti")), ("co", ("Co",)), ("", ())]
)
def test_elements_are_read_in_any_case(given: str, symbols: tuple[str, ...]) -> None:
    assert _elements("--contains", given) == symbols


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("CO", r"--only: 'CO' is no chemical element \(did you mean Co or C,O\?\), expected symbols such as Ba,O"),
        ("BaO", r"'BaO' is no chemical element \(did you mean Ba,O\?\)"),
        ("xx", "'xx' is no chemical element, expected symbols"),
    ],
)
def test_what_is_no_element_is_said_with_what_was_meant(given: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        _elements("--only", given)


def test_a_search_for_nothing_is_said() -> None:
    with pytest.raises(UserError, match="there is nothing to search with, expected files, or --text"):
        run("search")
