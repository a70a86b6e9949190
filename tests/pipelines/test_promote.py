from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.registry.promotion.gates import Gate
from matbind.registry.promotion.promote import Decision
from matbind.registry.promotion.trail import Entry
from matbind.registry.registry import CHAMPION, Registry
from pipelines import promote as module
from pipelines.promote import markdown, promote
from tests.factories import needs_sample, real_features
from tests.pipelines.page import artifact
from tests.registry.promotion.promoted import COMBINATION, NAME, add_version, evaluation, write_features
from tests.registry.registered import register, registry_in


@pytest.fixture
def project(tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(project_root / "params.yaml", tmp_path)
    return tmp_path


@needs_sample
def test_a_registered_model_is_promoted_and_the_decision_is_shown(
    project: Path, prefect_api_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = registry_in(project)
    register(registry, name="text")
    (project / "artifacts").mkdir()
    (project / "artifacts" / "features").symlink_to(real_features())
    monkeypatch.setattr(sys, "argv", ["promote", "text", "--to", "production", "--reason", "the first"])

    with pytest.raises(SystemExit) as ended:
        module.app()

    printed = capsys.readouterr()
    assert not ended.value.code, printed.err
    assert printed.out.startswith("[promote] matbind-text version 1 is in production now (mean recall@1 of version 1: ")
    assert registry.aliases("matbind-text")[CHAMPION] == 1
    shown = artifact(prefect_api_url, "promote-matbind-text")
    assert shown.startswith("# matbind-text version 1: none → production, moved\n")
    assert "because the first." in shown
    assert re.search(r"\| test_split \| yes \| it was evaluated on the current test split", shown)


def test_a_refusal_is_shown_too(project: Path, prefect_api_url: str) -> None:
    registry, features = registry_in(project), write_features(project)
    for recall in (0.5, 0.3):
        add_version(registry, evaluation(recall), features=features, files=project / "files")
    promote(COMBINATION, version=1)

    with pytest.raises(UserError, match="version 2 is not moved to production"):
        promote(COMBINATION)

    assert Registry(project).aliases(NAME)[CHAMPION] == 1
    shown = artifact(prefect_api_url, f"promote-{NAME}")
    assert shown.startswith(f"# {NAME} version 2: none → production, refused\n")
    assert "| mean | no | its mean aligned recall@1 is 0.300" in shown
    assert "| champion | 1 | 0.500 |  |  |" in shown


def test_an_overridden_condition_is_told_as_such() -> None:
    entry = Entry(
        number=1,
        at="2025-01-01T00:00:00.000+00:00",
        by="Ann",
        action="promote",
        version=2,
        source="none",
        to="production",
        alias="champion",
        replaced=1,
        reason="it leaks",
        gates=(Gate("mean", passed=False, says="a | b"),),
        overridden=("mean",),
    )

    lines = markdown(Decision("m", entry, accepted=True, is_new=True, says="done")).splitlines()

    assert lines[0] == "# m version 2: none → production, moved"
    assert "By Ann at 2025-01-01T00:00:00.000+00:00, because it leaks." in lines
    assert lines[-1] == "| mean | no, overridden | a / b |"
