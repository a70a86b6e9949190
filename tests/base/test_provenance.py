from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matbind.base.provenance import (
    Origin,
    dvc_md5,
    is_gone,
    locks_before,
    process_fingerprint,
    read_origin,
    stage_locks,
    training_record,
    workspace_fingerprint,
)


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


def test_committed_metrics_rewritten_by_a_stage_do_not_make_the_commit_dirty(repository: Path) -> None:
    metrics = repository / "metrics/summary.json"
    metrics.parent.mkdir()
    metrics.write_text("{}")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "--message", "metrics")

    metrics.write_text('{"aligned": 0.5}')

    assert not read_origin(repository).git_dirty


def test_outside_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert read_origin(tmp_path) == Origin(None, None, git_dirty=False)


def test_this_process_is_not_gone() -> None:
    assert not is_gone(process_fingerprint())


def test_an_ended_process_is_gone() -> None:
    code = "from matbind.base.provenance import process_fingerprint; print(process_fingerprint())"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    assert is_gone(ended)


def test_another_process_with_the_number_of_an_ended_one_is_not_it() -> None:
    machine, number, started = process_fingerprint().split(":")

    assert is_gone(f"{machine}:{number}:{int(started) - 100}")


def test_a_clock_that_was_set_does_not_make_a_process_another() -> None:
    machine, number, started = process_fingerprint().split(":")

    assert not is_gone(f"{machine}:{number}:{int(started) + 2}")


def test_a_process_that_only_waits_to_be_buried_is_gone() -> None:
    code = "from matbind.base.provenance import process_fingerprint; print(process_fingerprint(), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    fingerprint = process.stdout.readline().strip()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not reaped

    assert is_gone(fingerprint)
    process.communicate()


@pytest.mark.parametrize("fingerprint", ["", "nonsense", "elsewhere:1:2"])
def test_processes_of_other_machines_are_left_alone(fingerprint: str) -> None:
    assert not is_gone(fingerprint)


def test_two_directories_have_two_marks(tmp_path: Path) -> None:
    assert workspace_fingerprint(tmp_path / "a") != workspace_fingerprint(tmp_path / "b")


LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: p
    deps: [{path: data, md5: d1.dir}]
    params: {params.yaml: {seed: 0}}
    outs: [{path: artifacts/features, md5: f1.dir}]
  ablate:
    cmd: a
    deps: [{path: artifacts/features, md5: f1.dir}]
    outs: [{path: models, md5: m1.dir}, {path: metrics/combinations, md5: c1.dir}]
  compare:
    cmd: c
    deps: [{path: metrics/combinations, md5: c1.dir}]
    outs: [{path: metrics/comparison.json, md5: j1}]
  register:
    cmd: r
    deps: [{path: metrics/comparison.json, md5: j1}]
"""


def test_the_lock_file_tells_what_each_stage_read_and_wrote(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)

    lock = stage_locks(tmp_path)["prepare"]

    assert (lock["deps"], lock["outs"]) == ({"data": "d1.dir"}, {"artifacts/features": "f1.dir"})
    assert len(lock["params_digest"]) == 32


def test_without_a_lock_file_nothing_is_locked(tmp_path: Path) -> None:
    assert stage_locks(tmp_path) == {}


def test_what_comes_after_the_training_is_no_part_of_its_origin(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)

    assert set(locks_before(stage_locks(tmp_path))) == {"prepare"}


def test_checksums_are_those_of_dvc(tmp_path: Path) -> None:
    from dvc.repo import Repo

    (tmp_path / "d/inner").mkdir(parents=True)
    for name in ("d/b.json", "d/a-1.json", "d/inner/1.json", "d/inner.json"):
        (tmp_path / name).write_text(name)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        (stage,) = repo.add(str(tmp_path / "d"))

    assert dvc_md5(tmp_path / "d") == stage.outs[0].hash_info.value


def test_the_record_rebuilds_the_files_as_they_were(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "src").mkdir()
    (repository / "src/new.py").write_text("x = 1\n")
    (repository / "params.yaml").write_text("seed: 1\n")
    record = training_record(repository)
    other = tmp_path_factory.mktemp("other")
    _git(other, "clone", "--quiet", str(repository), "copy")

    subprocess.run(["git", "apply", "-"], cwd=other / "copy", input=record["patch"], text=True, check=True)

    assert (other / "copy/params.yaml").read_text() == record["params"] == "seed: 1\n"
    assert (other / "copy/src/new.py").read_text() == "x = 1\n"
    assert _git(repository, "status", "--porcelain") == "M params.yaml\n?? src/"


def test_two_records_of_the_same_files_are_equal(repository: Path) -> None:
    assert json.dumps(training_record(repository)) == json.dumps(training_record(repository))


def test_the_record_names_interpreter_and_packages(repository: Path) -> None:
    (repository / "constraints.txt").write_text("# exact\nPyYAML==6.0\nnumpy==2.0\n")

    environment = training_record(repository)["environment"]

    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(environment["packages"]) == {"pyyaml", "numpy"}
