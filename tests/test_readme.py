"""README.md and the documents: what they link to is there, and what they tell people to type is understood."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from matbind.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
LARGEST_PICTURE = 150_000
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"(?:\]\(|src=\")([^)\"\s#]+)", page.read_text())

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_is_understood(page: Path) -> None:
    for line in _code(page.read_text()):
        words = takewhile(lambda word: word not in {"|", "&", ";", "&&", ">"}, shlex.split(line, comments=True)[1:])
        _parse(line, list(words))


def _code(text: str) -> list[str]:
    """Return the lines of indented code and of fences marked `sh` that begin with `matbind`."""
    fences = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    return re.findall(r"^matbind .*$", fences, re.MULTILINE) + re.findall(r"^ {4,}(matbind .*)$", text, re.MULTILINE)


def _parse(line: str, words: list[str]) -> None:
    """Let the command line read its arguments, and run nothing."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{line}: it names no command"
        assert words[0] in command.commands, f"{line}: there is no command {words[0]}"
        command = command.commands[words.pop(0)]
    command.make_context(line, words)


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}

    assert {name: size for name, size in sizes.items() if size > LARGEST_PICTURE} == {}


def test_the_badge_names_the_versions_of_python_that_install() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    first, beyond = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", requires).groups())

    badge = (ROOT / "docs" / "images" / "python.svg").read_text()

    versions = ", ".join(f"3.{minor}" for minor in range(first, beyond))
    assert f'aria-label="Python {versions}"' in badge
