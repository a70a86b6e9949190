"""The command line answers at once, for it imports no more than a command needs. The times: benchmarks/startup.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from matbind.cli.main import main; main()"
# Not pydantic: typer reads the arguments of a command by it.
HEAVY = [
    *("dvc", "great_expectations", "matplotlib", "mlflow", "numba", "numpy", "optuna", "pandas", "polars", "prefect"),
    *("pyarrow", "pymatgen", "scipy", "sklearn", "torch", "torch_geometric", "transformers", "yaml"),
]
TELLS_HEAVY = f"""
import json, sys
try:
    {{}}
finally:
    sys.stderr.write("\\n" + json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def _run(statement: str, *arguments: str, directory: Path = Path()) -> tuple[int, str, set[str]]:
    """Return the exit code, what went to standard error, and the heavy modules that were imported."""
    command = [sys.executable, "-c", TELLS_HEAVY.format(statement), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    error, _, heavy = ended.stderr.rpartition("\n")
    return ended.returncode, error, set(json.loads(heavy))


@pytest.mark.parametrize("module", ["matbind", "matbind.cli.main"])
def test_an_import_brings_nothing_heavy(module: str) -> None:
    assert _run(f"import {module}") == (0, "", set())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["search", "--help"], ["data", "--help"], ["data", "text", "--help"]]
)
def test_help_brings_nothing_heavy(arguments: list[str]) -> None:
    assert _run(MAIN, *arguments) == (0, "", set())


def test_a_wrong_option_brings_nothing_heavy() -> None:
    code, error, heavy = _run(MAIN, "search", "--nope")

    assert (code, heavy) == (2, set())
    assert "No such option: --nope" in error


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--preset", "paper"], ["combinations"]])
def test_the_settings_are_read_without_what_computes(arguments: list[str], project_root: Path) -> None:
    code, error, heavy = _run(MAIN, *arguments, directory=project_root)

    assert (code, error) == (0, "")
    assert heavy <= {"numpy", "polars", "yaml"}


def test_the_status_is_read_without_what_trains(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "params.yaml").write_text((project_root / "params.yaml").read_text())

    code, error, heavy = _run(MAIN, "status", directory=tmp_path)

    assert (code, error) == (0, "")
    assert heavy <= {"numpy", "yaml"}


def test_the_garbage_of_imports_is_looked_for_seldom() -> None:
    statement = f"import gc; gc.callbacks.append(lambda phase, _: seen.append(phase)); seen = []; {MAIN}"
    code = f"{statement}\nassert len(seen) < 20, len(seen)"

    ended = subprocess.run([sys.executable, "-c", code, "settings"], capture_output=True, text=True, check=False)

    assert ended.stderr == ""
