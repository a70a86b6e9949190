"""What a section of the report is made of: figures, tables, and sentences where there is neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from matbind.report.inputs import Content, Inputs, reason, reasons
from matbind.report.words import DASH, listing, phrase, wording

Row = Mapping[str, Any]
Rows = Sequence[Row]


class Plate(NamedTuple):
    """A figure that is still to be drawn; its title, and what is drawn, stand in `wording`.

    Attributes:
        name: of its files, without suffix.
        caption: what to see, made from the numbers.
        draw: makes the matplotlib figure; a partial of a module's function, so that another process can draw it.
        data: the numbers in it: rows for a CSV file, a mapping for JSON.
    """

    name: str
    caption: str
    draw: Callable[[], Any]
    data: Rows | Mapping[str, Any]

    @property
    def title(self) -> str:
        """Return what stands above it, a few words."""
        return str(wording()["figure"][self.name]["title"])

    @property
    def alt(self) -> str:
        """Return the figure in words, for those who do not see it."""
        return f"{wording()['figure'][self.name]['shape']} {self.caption}"


class Notice(NamedTuple):
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
        """Return what the script of the page sorts by."""
        return self.text if self.key is None else repr(self.key) if isinstance(self.key, float) else str(self.key)


Value = Cell | str | float | None


class Table(NamedTuple):
    """A table that can be sorted; its title and the heads of its columns stand in `wording`.

    Attributes:
        name: its id on the page.
        caption: what it says, and how to read it.
        rows: of as many values as there are columns, see :func:`cell`; the first heads its row.
        folded: whether it is shown only when asked for.
        more: heads of columns that depend on the data, behind the others.
    """

    name: str
    caption: str
    rows: Sequence[Sequence[Value]]
    folded: bool = False
    more: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Return what stands above it, a few words."""
        return str(wording()["table"][self.name]["title"])

    @property
    def columns(self) -> list[str]:
        """Return the heads; one that begins with ``*`` is of numbers."""
        return [*wording()["table"][self.name]["columns"], *self.more]


Block = Plate | Notice | Table


class Question(NamedTuple):
    """What a section of the page asks; its title and lead stand in `wording`.

    Attributes:
        name: of the section, its id on the page.
        answer: makes the blocks of the content of the file and of all inputs; none if no result is available.
        file: of the analysis, one of `matbind.report.inputs.FILES`; if it is not given, the one of this name.
    """

    name: str
    answer: Callable[[Content, Inputs], Sequence[Block]]
    file: str | None = None

    @property
    def words(self) -> dict[str, str]:
        """Return its `title`, its `lead`, and what is `missing` where there is no answer."""
        return dict(wording()["question"][self.name])

    def blocks(self, inputs: Inputs) -> Sequence[Block]:
        """Answer the question, or say why there is no answer."""
        content = inputs.answers.get(self.file or self.name, {})
        why = reason(content)
        blocks = [] if why else self.answer(content, inputs)
        return blocks or [Notice(self.words["missing"], why or reasons(content["results"]))]


def instead(figure: str, why: str | None = None) -> Notice:
    """Say why a figure is missing, under its title; what is `missing` in `wording` if it is not said."""
    return Notice(phrase(f"figure.{figure}.title"), why or phrase(f"figure.{figure}.missing"))


def grouped(rows: Iterable[Row], *columns: str) -> dict[Any, list[Row]]:
    """Group rows by what stands in a column, or in several: the keys are then tuples."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(itemgetter(*columns)(row), []).append(row)
    return groups


def cell(value: Value) -> Cell:
    """Make a cell of a value; a number is shown with three decimals and a count as it is, sorted by their values."""
    if isinstance(value, Cell):
        return value
    return Cell(value) if isinstance(value, str) else number(value, str if isinstance(value, int) else "{:.3f}".format)


def number(value: float | None, form: Callable[[Any], str]) -> Cell:
    """Make a cell that is sorted by its number; a dash where there is none."""
    return Cell(DASH, "") if value is None else Cell(form(value), float(value))


def gaps(results: Content) -> list[Block]:
    """Say what is not available among results of which others are shown: one notice, every reason once."""
    names: dict[str, list[str]] = {}
    for name, result in results.items():
        why = reason(result)
        if why is not None:
            names.setdefault(why.removeprefix(f"{name}: ").rstrip("."), []).append(name)
    sentences = [f"{listing(lacking)}: {why}." for why, lacking in names.items()]
    return [Notice("Not available", " ".join(sentences))] if sentences else []
