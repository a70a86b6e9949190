"""With which interpreter the Makefile makes its environment, and what installs into it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ANSWERS = """#!/bin/sh
exec {python} -c "import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])" "$2"
"""
FAILS = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


class Machine:
    """A project without an environment, and a search path with nothing but make's needs on it."""

    def __init__(self, root: Path, makefile: Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        for tool in ("sh", "getconf", "test", "echo"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self._project = root / "project"
        self._project.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(makefile.parent / name, self._project)

    def program(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)
        return path

    def python(self, name: str, version: str) -> None:
        self.program(name, ANSWERS.format(python=sys.executable, version=version.replace(".", ", ")))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("make") or "make", ".venv/.installed", *arguments],
            cwd=self._project,
            # Without what a make around the tests tells its children.
            env={**{k: v for k, v in os.environ.items() if not k.startswith("MAKE")}, "PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path, project_root: Path) -> Machine:
    return Machine(tmp_path, project_root / "Makefile")


def test_the_first_interpreter_that_runs_and_is_in_the_range_is_taken(machine: Machine) -> None:
    machine.program("python3.13", FAILS)
    machine.python("python3.12", "3.12")
    machine.python("python3", "3.11")

    assert "'python3.12' -m venv .venv\n" in machine.make("--dry-run").stdout


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_an_interpreter_without_a_version_in_its_name_is_asked_for_it(machine: Machine, version: str) -> None:
    machine.python("python3", version)

    assert "'python3' -m venv .venv\n" in machine.make("--dry-run").stdout


def test_where_no_interpreter_will_do_one_sentence_says_what_is_missing(machine: Machine) -> None:
    machine.program("python3.12", FAILS)
    machine.python("python3", "3.10")
    machine.python("python", "3.14")

    done = machine.make()

    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "matbind needs Python 3.11, 3.12 or 3.13, and none of python3.13 python3.12 python3.11 python3 python is one "
        "that runs here: install one, or name it, as in make run PYTHON=/path/to/python3.12"
    )


def test_uv_installs_where_it_is_there(machine: Machine) -> None:
    machine.python("python3", "3.13")
    uv = machine.program("uv", FAILS)

    commands = machine.make("--dry-run").stdout

    assert f"{uv} venv --python 'python3' .venv\n" in commands
    assert re.search(
        rf"{uv} pip install --python .venv/bin/python --quiet \\\n\s*--constraint constraints.txt --editable", commands
    )


def test_uv_is_switched_off_by_an_empty_name(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAILS)

    commands = machine.make("--dry-run", "UV=").stdout

    assert "uv" not in commands.replace(str(machine.bin), "")
    assert ".venv/bin/python -m pip install --quiet" in commands


def test_the_makefile_takes_the_versions_that_the_package_allows(project_root: Path) -> None:
    requires = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["requires-python"]
    makefile = (project_root / "Makefile").read_text()

    bounds = re.search(r"not \(3, (\d+)\) <= sys.version_info\[:2\] < \(3, (\d+)\)", makefile)

    assert requires == ">=3.{},<3.{}".format(*bounds.groups())
