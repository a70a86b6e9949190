from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.base.provenance import environment, training_record
from matbind.tracking.lineage import differences, lineage_of, rebuild_script, rows


@pytest.fixture
def record() -> dict[str, Any]:
    """What is written down of a training in this environment."""
    return {
        "data_md5": "1234.dir",
        "git_commit": "abcdef0123456789",
        "git_dirty": False,
        "patch": "",
        "params": "preset: smoke\n",
        "stages": {"prepare": {"deps": {}, "outs": {"artifacts/records": "r1.dir"}, "params_digest": "p1"}},
        "environment": environment(),
    }


@pytest.fixture
def keep(tmp_path: Path, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a trained model with a record of its origin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def write(name: str = "crystal+dos", **changes: Any) -> None:
        model_dir = Path("models") / name / "seed-2"
        write_json(Path("models") / name / "chosen.json", {"seed": 2, "of": [0, 2]})
        write_json(model_dir / "provenance.json", record | changes)
        write_json(model_dir / "settings.json", {"preset": "smoke", "seed": 0, "model": {"temperature": 0.07}})
        trained = {"combination": name, "seed": 2, "seconds": 12.5, "best_epoch": 3, "fingerprint": "0123456789"}
        write_json(model_dir / "trained.json", trained)
        write_json(model_dir / "evaluation.json", {"run_id": "r1"})

    return write


def test_a_model_tells_where_it_comes_from(keep: Any) -> None:
    keep()

    lineage = lineage_of("crystal+dos")

    assert (lineage.run_id, lineage.data_md5, lineage.git_commit) == ("r1", "1234.dir", "abcdef0123456789")
    assert (lineage.seconds, lineage.best_epoch, lineage.fingerprint) == (12.5, 3, "0123456789")
    assert lineage.settings["model.temperature"] == "0.07"
    assert ["prepare wrote", "artifacts/records r1.dir"] in rows(lineage)
    assert ["this environment", "is the one it was trained in"] in rows(lineage)


def test_a_model_is_found_by_its_directory_too(keep: Any) -> None:
    keep("dos")

    assert lineage_of("models/dos").combination == "dos"
    assert lineage_of("models/dos/seed-2").kept_in == "models/dos/seed-2"


def test_a_model_that_is_not_there_is_told_with_those_that_are(keep: Any) -> None:
    keep("dos")

    with pytest.raises(UserError, match=r"^text: no such model is in models \(trained: dos\), expected one of them"):
        lineage_of("text")


def test_a_model_without_a_record_is_refused(keep: Any) -> None:
    keep("dos")
    Path("models/dos/seed-2/provenance.json").unlink()

    with pytest.raises(UserError, match=r"^dos: models/dos/seed-2 holds no provenance.json"):
        lineage_of("dos")


def test_a_registered_version_is_read_from_its_run(keep: Any, tmp_path: Path) -> None:
    from matbind.modalities.combinations import parse_combination
    from matbind.settings import load as settings
    from matbind.tracking.tracker import Tracker

    keep("dos")
    params = Path(__file__).parents[2] / "params.yaml"
    tracker = Tracker(warn=pytest.fail)
    run_id = tracker.start_combination(None, settings.load(params, preset="smoke"), parse_combination("dos"), 0)
    pairs = {"dos->dos": {"kind": "view", "recall_at_1": 0.5, "recall_at_5": 0.75, "n": 18}}
    metrics = {
        "combination": "dos",
        "seed": 2,
        "hub": "dos",
        "pairs": pairs,
        "seconds": 9.0,
        "fingerprint": "f9",
        "best_epoch": 1,
    }
    files = [Path("models/dos/seed-2/settings.json"), Path("models/dos/seed-2/provenance.json")]
    tracker.finish_combination(run_id, metrics, files)
    client = tracker._runs.client  # type: ignore[union-attr]
    client.create_registered_model("matbind-dos")
    client.create_model_version("matbind-dos", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("matbind-dos", "champion", "1")

    lineages = {
        which: lineage_of(which) for which in ("matbind-dos@champion", "matbind-dos/1", "models:/matbind-dos/1")
    }

    assert {lineage.run_id for lineage in lineages.values()} == {run_id}
    assert {(lineage.seconds, lineage.fingerprint, lineage.data_md5) for lineage in lineages.values()} == {
        (9.0, "f9", "1234.dir")
    }
    with pytest.raises(UserError, match=r"^matbind-dos@best: no registered model of an ablation was found"):
        lineage_of("matbind-dos@best")


def test_another_package_version_is_told(record: dict[str, Any]) -> None:
    used = record["environment"] | {"packages": record["environment"]["packages"] | {"numpy": "1.0", "gone": "2.0"}}

    numpy = record["environment"]["packages"]["numpy"]
    assert differences(used) == [f"numpy 1.0 was used, {numpy} is here", "gone 2.0 was used, none is here"]


def test_the_script_uses_this_environment_if_it_is_the_same(keep: Any) -> None:
    keep()

    lines = rebuild_script(lineage_of("crystal+dos"), interpreter="/env/bin/python").splitlines()

    assert 'export PATH=/env/bin:"$PATH"' in lines
    assert "git worktree add --detach ../matbind-01234567 abcdef0123456789" in lines
    assert "dvc repro prepare" in lines
    assert lines[-3].endswith("python -m matbind.cli train crystal+dos --seed 2")


def test_the_script_installs_another_environment_by_its_constraints(keep: Any, record: dict[str, Any]) -> None:
    keep(environment=record["environment"] | {"python": "3.11.0"})

    lines = rebuild_script(lineage_of("crystal+dos"), interpreter="/env/bin/python").splitlines()

    assert ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[dev]'" in lines


def test_without_a_commit_there_is_no_script(keep: Any) -> None:
    keep(git_commit=None)

    with pytest.raises(UserError, match="it was trained outside a git repository"):
        rebuild_script(lineage_of("crystal+dos"), interpreter="python")


def test_changes_that_could_not_be_kept_are_told(keep: Any) -> None:
    keep(git_dirty=True, patch=None)

    assert "# Not exact: files were changed after the commit" in rebuild_script(
        lineage_of("crystal+dos"), interpreter="python"
    )


def test_the_script_brings_the_code_back_as_it_was(tmp_path: Path, keep: Any) -> None:
    """Run up to the data: what follows needs a whole project, and is run in tests/end_to_end."""
    project = tmp_path / "project"
    project.mkdir()
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    (project / "params.yaml").write_text("preset: small\n")
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", "-C", str(project), *command], check=True)
    (project / "params.yaml").write_text("preset: small\nseed: it's 1\n")
    keep(**training_record(project))
    script = rebuild_script(lineage_of("crystal+dos"), interpreter=sys.executable)

    subprocess.run(["sh", "-c", script.split("export PATH")[0]], cwd=project, check=True, capture_output=True)

    assert (tmp_path / "matbind-01234567/params.yaml").read_text() == "preset: small\nseed: it's 1\n"
