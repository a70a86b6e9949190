"""What a section of the report is made of: figures, tables, and sentences where there is neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matbind.report.inputs import Content, reason
from matbind.report.words import listing

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Plate:
    """A figure that is still to be drawn.

    Attributes:
        name: of its files, without suffix.
        title: a few words.
        caption: what to see, made from the numbers.
        alt: the figure in words, for those who do not see it.
        draw: makes the matplotlib figure; a partial of a module's function, so that another process can draw it.
        data: the numbers in it: rows for a CSV file, a mapping for JSON.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Any]
    data: Rows | Mapping[str, Any]


@dataclass(frozen=True)
class Notice:
    """One sentence in the place of what could not be shown."""

    title: str
    sentence: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: as it is read.
        key: what the column is sorted by; the text if None.
        href: where it leads, None for nowhere.
        hint: a longer text on pointing.
    """

    text: str
    key: float | str | None = None
    href: str | None = None
    hint: str | None = None

    @property
    def sort_key(self) -> str:
        """What the script of the page sorts by."""
        return self.text if self.key is None else repr(self.key) if isinstance(self.key, float) else str(self.key)


@dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Attributes:
        name: its id on the page.
        title: a few words.
        caption: what it tells, and how to read it.
        columns: their heads; a head that begins with ``*`` is of numbers.
        rows: of as many cells as there are columns; the first heads its row.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False


Block = Plate | Notice | Table


@dataclass(frozen=True)
class Section:
    """One question.

    Attributes:
        name: its id on the page.
        title: the question.
        lead: how it was asked, in a sentence or two.
        blocks: its answer.
    """

    name: str
    title: str
    lead: str
    blocks: list[Block] = field(default_factory=list)


def number(value: float | None, text: str | None = None) -> Cell:
    """A cell that is sorted by its number; a dash where there is none."""
    if value is None:
        return Cell("\N{EN DASH}", "")
    return Cell(f"{value:.3f}" if text is None else text, float(value))


def gaps(results: Content) -> list[Block]:
    """What is not available among results of which others are shown: one notice, each reason once."""
    told: dict[str, list[str]] = {}
    for name, each in results.items():
        why = reason(each)
        if why is not None:
            told.setdefault(why.removeprefix(f"{name}: ").rstrip("."), []).append(name)
    sentences = [f"{listing(names)}: {why}." for why, names in told.items()]
    return [Notice("Not available", " ".join(sentences))] if sentences else []
