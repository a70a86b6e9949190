from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from matbind.registry.promotion.trail import acting_user


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))


def test_git_knows_who_it_is(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for key, value in (("user.name", "Ann Lee"), ("user.email", "ann@example.org")):
        subprocess.run(["git", "-C", str(tmp_path), "config", key, value], check=True)

    assert acting_user(tmp_path) == "Ann Lee <ann@example.org>"


def test_without_git_it_is_the_account_and_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    assert acting_user(tmp_path) == f"ann@{platform.node()}"


def test_without_an_account_it_is_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 1234)

    assert acting_user(tmp_path) == f"user 1234@{platform.node()}"
