from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.settings import load as settings_module
from matbind.settings.params import Settings
from matbind.training.ablation import Ablation, longest_first


@pytest.fixture(scope="module")
def settings(project_root: Path) -> Settings:
    return settings_module.load(project_root / "params.yaml", preset="smoke")


def _with_combinations(settings: Settings, names: list[str] | None) -> Settings:
    return settings.model_copy(update={"ablate": settings.ablate.model_copy(update={"combinations": names})})


def test_all_fifteen_are_trained_the_longest_first(settings: Settings) -> None:
    names = [combination.name for combination in longest_first(_with_combinations(settings, None))]

    assert len(set(names)) == 15
    assert names[0] == "crystal+dos+pxrd+text"
    assert {name.count("+") for name in names[1:5]} == {2}


def test_only_those_asked_for_are_trained_each_once(settings: Settings) -> None:
    asked = _with_combinations(settings, ["text", "dos+crystal+text", "text"])

    assert [combination.name for combination in longest_first(asked)] == ["crystal+dos+text", "text"]


def test_missing_features_are_named(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UserError, match="no finished feature store is here, run the featurize stage first"):
        Ablation(settings, draw_curves=pytest.fail, log=pytest.fail)
