from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.registry.register import register_all
from tests.factories import needs_sample, real_features, silent
from tests.registry.registered import registry_in
from tests.serving.trained import trained

pytestmark = needs_sample


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which two combinations were trained and one failed."""
    root = tmp_path_factory.mktemp("project")
    registry_in(root)
    for name in ("text", "crystal+dos+pxrd+text"):
        shutil.copytree(trained(name).models / name, root / "models" / name)
        shutil.copy(trained(name).metrics / f"{name}.json", _metrics(root) / f"{name}.json")
    write_json(_metrics(root) / "dos.json", {"combination": "dos", "error": "the loss is nan"})
    return root


def _metrics(root: Path) -> Path:
    path = root / "metrics" / "combinations"
    path.mkdir(parents=True, exist_ok=True)
    return path


def register(root: Path, lines: list[str] | None = None) -> str:
    where = {"features": real_features(), "models": root / "models", "metrics": _metrics(root)}
    log = silent if lines is None else lines.append
    register_all(**where, out=root / "registry.json", root=root, log=log)
    return (root / "registry.json").read_text()


def test_every_trained_combination_is_registered_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first_lines: list[str] = []
    second_lines: list[str] = []

    first, second = register(project, first_lines), register(project, second_lines)

    assert first_lines == [
        "1 of 2 | matbind-text: version 1 made",
        "2 of 2 | matbind-crystal-dos-pxrd-text: version 1 made",
    ]
    assert second_lines == [
        "1 of 2 | matbind-text: version 1 holds this model already",
        "2 of 2 | matbind-crystal-dos-pxrd-text: version 1 holds this model already",
    ]
    assert first == second
    model = json.loads(first)["models"]["text"]
    assert {key: model[key] for key in ("name", "version", "run_id")} == {
        "name": "matbind-text",
        "version": 1,
        "run_id": None,
    }
    assert str(project) not in first


def test_nothing_trained_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry_in(tmp_path)

    with pytest.raises(UserError, match="no combination's metrics are here, run the ablate stage first"):
        register(tmp_path)
