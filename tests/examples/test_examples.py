"""The files of examples/, and the notebook beside them, as somebody meets them after `make run`."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matbind.search.search import Reading, search
from tests.factories import DATA, ROOT, needs_sample
from tests.registry.registered import register, registry_in

pytestmark = needs_sample
EXAMPLES = ROOT / "examples"
FILES = ("pyrite.xy", "pyrite.cif", "pyrite.dos.csv", "pyrite.txt")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in whose store the four-modality model is registered, with the examples."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        register(registry_in(root))
    shutil.copytree(EXAMPLES, root / "examples")
    return root


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_files_are_what_the_script_makes(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "make.py", "--data", DATA, "--out", tmp_path]

    subprocess.run(command, check=True)

    assert {name: (tmp_path / name).read_text() for name in FILES} == {
        name: (EXAMPLES / name).read_text() for name in FILES
    }


def test_every_file_is_answered(project: Path) -> None:
    answers = search([EXAMPLES / name for name in FILES], reading=Reading(n_atoms=12), root=project)

    assert [answer["error"] for answer in answers] == [None] * len(FILES)


def test_the_notebook_runs_and_ships_no_outputs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "examples")
    cells = json.loads(Path("search.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"__name__": "__main__"}

    shown = [_run(source, names) for source in sources]

    assert not any(cell.get("outputs") for cell in cells)
    assert set(names["vectors"]) == {"pxrd", "crystal", "dos", "text"}
    assert shown[1]["query"].n_unique() == len(FILES)
    assert names["together"][0]["error"] is None
    assert "no material of the gallery passes the element filter" in names["with_elements"][0]["error"]  # it is small
    assert shown[-1] == "the query is empty, expected at least one of cif, poscar, dos, pxrd, text"


def _run(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, as a notebook shows it."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else ast.parse("None").body[0]
    exec(compile(ast.Module(body, []), "cell", "exec"), names)  # noqa: S102
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
