from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matbind.provenance import Origin, is_gone, process_mark, read_origin, workspace_mark


def _git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 1234.dir\n  path: data\n")
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit_and_its_data(repository: Path) -> None:
    assert read_origin(repository) == Origin("1234.dir", _git(repository, "rev-parse", "HEAD"), git_dirty=False)


def test_an_edited_file_makes_the_commit_dirty(repository: Path) -> None:
    (repository / "params.yaml").write_text("seed: 1\n")

    assert read_origin(repository).code == _git(repository, "rev-parse", "HEAD") + "-dirty"


def test_a_lock_file_rewritten_by_a_stage_does_not_make_the_commit_dirty(repository: Path) -> None:
    (repository / "dvc.lock").write_text("stages: {prepare: {}}\n")

    assert not read_origin(repository).git_dirty


def test_outside_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert read_origin(tmp_path) == Origin(None, None, git_dirty=False)


def test_this_process_is_not_gone() -> None:
    assert not is_gone(process_mark())


def test_an_ended_process_is_gone() -> None:
    code = "from matbind.provenance import process_mark; print(process_mark())"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    assert is_gone(ended)


def test_another_process_with_the_number_of_an_ended_one_is_not_it() -> None:
    node, number, started = process_mark().split(":")

    assert is_gone(f"{node}:{number}:{int(started) - 100}")


@pytest.mark.parametrize("mark", ["", "nonsense", "elsewhere:1:2"])
def test_processes_of_other_machines_are_left_alone(mark: str) -> None:
    assert not is_gone(mark)


def test_two_directories_have_two_marks(tmp_path: Path) -> None:
    assert workspace_mark(tmp_path / "a") != workspace_mark(tmp_path / "b")
