"""One page of HTML that needs nothing but itself."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matbind.report.blocks import Block, Question, cell
from matbind.report.inputs import Inputs
from matbind.report.summary import headline, summary
from matbind.report.template import asset, render
from matbind.report.words import intervals_over

MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
PIXELS_PER_POINT = 96 / 72
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


class Drawn(NamedTuple):
    """The files of a figure."""

    png: Path
    svg: Path
    data: Path


class Picture(NamedTuple):
    """A figure on the page: its address, which holds the picture itself, its size in CSS pixels, and its files."""

    uri: str
    width: int
    height: int
    links: list[tuple[str, str]]


def page(
    inputs: Inputs, sections: Sequence[tuple[Question, Sequence[Block]]], drawn: Mapping[str, Drawn], *, figures: str
) -> str:
    """Render the report as an HTML document.

    Args:
        inputs: what is reported.
        sections: its questions, and the blocks that answer them.
        drawn: the files of every figure by its name.
        figures: where the files are, relative to the page.
    """
    return render(
        "page.html.j2",
        finalize=_unbroken,
        cell_of=cell,
        facts=_facts(inputs),
        intervals_over=intervals_over(inputs.seeds()),
        headline=headline(inputs),
        summary=summary(inputs),
        sections=sections,
        runs={name: f"MLflow run {run}" for name in inputs.trained() if (run := inputs.run_id(name))},
        pictures={name: picture(files_of, figures) for name, files_of in drawn.items()},
        style=asset("page.css"),
        script=asset("page.js"),
        theme=asset("theme.js"),
    )


def picture(drawn: Drawn, figures: str) -> Picture:
    """Put the smaller of the two pictures into an address."""
    smaller = min((drawn.png, drawn.svg), key=lambda path: path.stat().st_size)
    encoded = b64encode(smaller.read_bytes()).decode("ascii")
    width, height = _size(drawn.svg)
    links = [(path.suffix.removeprefix(".").upper(), f"{figures}/{path.name}") for path in drawn]
    return Picture(f"data:{MEDIA_TYPES[smaller.suffix]};base64,{encoded}", width, height, links)


def _unbroken(value: Any) -> Any:
    """Forbid line breaks before a per cent sign and around an equals sign; what is markup already stays."""
    if type(value) is not str:
        return value
    return value.replace(" %", f"{NO_BREAK_SPACE}%").replace(" = ", f"{NO_BREAK_SPACE}={NO_BREAK_SPACE}")


def _size(svg: Path) -> tuple[int, int]:
    """Read width and height of a figure, and turn points into CSS pixels."""
    with svg.open(encoding="utf-8") as file:
        size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', file.read(1000))
    if size is None:
        raise ValueError(f"{svg}: no size in points is there, expected one in the svg element")
    return round(float(size[1]) * PIXELS_PER_POINT), round(float(size[2]) * PIXELS_PER_POINT)


def _facts(inputs: Inputs) -> list[tuple[str, str]]:
    comparison = inputs.comparison
    return [
        ("preset", inputs.preset),
        ("seed", str(inputs.seed)),
        ("training seeds", ", ".join(map(str, inputs.seeds()))),
        ("data", (comparison.get("data_md5") or "outside DVC")[:12]),
        ("code", (comparison.get("git_commit") or "outside Git")[:12]),
        ("combinations", str(len(inputs.trained()))),
    ]
