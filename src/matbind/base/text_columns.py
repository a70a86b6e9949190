"""Columns of numbers in a text file, whatever separates them, with what stands around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matbind.base.content import lines_of

FloatArray = npt.NDArray[np.float64]
COMMENT_MARKS = "#!;'\"*%/&@$"
SAMPLE_LINES = 200  # lines that are looked at to find how the columns are separated
NOT_FINITE = r"[+-]?(?:nan|inf(?:inity)?)"
POINT = rf"(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[ed][+-]?\d+)?|{NOT_FINITE})"
COMMA = rf"(?:[+-]?\d+(?:,\d+)?(?:[ed][+-]?\d+)?|{NOT_FINITE})"
NUMBER = re.compile(POINT, re.IGNORECASE)
DIALECTS: tuple[tuple[str | None, str], ...] = (
    *((separator, POINT) for separator in (";", "\t", ",", None)),
    *((separator, COMMA) for separator in (";", "\t", None)),
)
INLINE_COMMENT = re.compile(r"\s[#!].*$")
WIDE_GAP = re.compile(r"\s{2,}|\t")
MOSTLY_NUMBERS = 0.5  # share of rows that makes a text columns of numbers
AMBIGUOUS_SUFFIXES = (".txt", ".csv", ".dat")  # of such columns, whatever they mean


@dataclass(frozen=True, slots=True)
class Interruption:
    """A line between the rows that is none.

    Attributes:
        row: the row it stands before.
        line: its number in the file, from 1.
        text: what it says.
    """

    row: int
    line: int
    text: str

    @property
    def is_comment(self) -> bool:
        """Return whether it begins as comments do."""
        return self.text[0] in COMMENT_MARKS


@dataclass(frozen=True, slots=True)
class Columns:
    """The numbers of a text file and what stands around them.

    Attributes:
        header: lines before the first row, without comment marks.
        names: of the columns, in small letters; empty where the header does not name each.
        rows: the numbers of every row, at least two.
        lines: number of the line of every row, from 1.
        interruptions: other lines between rows.
        tail: lines behind the last row.
    """

    header: list[str]
    names: list[str]
    rows: list[list[float]]
    lines: list[int]
    interruptions: list[Interruption]
    tail: list[str]

    @property
    def header_text(self) -> str:
        """Return the header as one text."""
        return "\n".join(self.header)

    @property
    def values(self) -> FloatArray:
        """Return the numbers, shape (n_rows, n_columns); columns that some rows lack are left out."""
        width = min(map(len, self.rows))
        return np.array([row[:width] for row in self.rows])


def parse_columns(text: str) -> Columns:
    """Find the columns of numbers: separated by semicolons, tabs, commas or blanks, with decimal points or commas.

    A comma is a decimal comma only where no number of the line has a point and the commas do not separate the columns.

    Raises:
        ValueError: if there are no two columns of numbers.
    """
    lines = lines_of(text)
    dialect = _dialect(lines)
    split = _splitter(*dialect)
    header: list[str] = []
    rows: list[list[float]] = []
    numbers: list[int] = []
    pending: list[Interruption] = []
    interruptions: list[Interruption] = []
    for i, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped:
            continue
        row = split(stripped)
        if row is not None and not rows and (block := _whole_block(lines[i - 1 :], *dialect)) is not None:
            rows, numbers = block, list(range(i, i + len(block)))
            break
        if row is not None:
            interruptions += pending
            pending = []
            rows.append(row)
            numbers.append(i)
        elif rows:
            pending.append(Interruption(len(rows), i, stripped))  # lines after the last row interrupt nothing
        else:
            header.append(stripped.lstrip(COMMENT_MARKS + " \t"))
    if not rows:
        raise ValueError("it holds no two columns of numbers")
    tail = [interruption.text for interruption in pending]
    return Columns(header, _names(header, len(rows[0])), rows, numbers, interruptions, tail)


def share_of_rows(text: str) -> float:
    """Return how much of a text is columns of numbers: rows over lines, without empty lines and comments; 0 to 1."""
    lines = [line.strip() for line in lines_of(text)]
    split = _splitter(*_dialect(lines))
    counted = [line for line in lines if line and line[0] not in COMMENT_MARKS]
    return sum(split(line) is not None for line in counted) / len(counted) if counted else 0.0


def _dialect(lines: list[str]) -> tuple[str | None, str]:
    """Find the separator (None for blanks) and form of a number that make rows of most lines; of equals the first."""
    sample = [stripped for line in lines if (stripped := line.strip())]
    middle = len(sample) // 2
    sample = sample[: SAMPLE_LINES // 2] + sample[middle : middle + SAMPLE_LINES]
    splitters = [_splitter(*dialect) for dialect in DIALECTS]
    return DIALECTS[int(np.argmax([sum(split(line) is not None for line in sample) for split in splitters]))]


def _whole_block(lines: list[str], separator: str | None, number: str) -> list[list[float]] | None:
    """Read lines that are rows and nothing else, but for empty ones at the end, by a compiled reader; else None."""
    last = len(lines)
    while not lines[last - 1].strip():
        last -= 1
    block = [line.replace(",", ".") for line in lines[:last]] if number == COMMA else lines[:last]
    if not all(map(str.strip, block)):
        return None
    try:
        rows = np.loadtxt(block, delimiter=separator, comments=None, ndmin=2)
    except ValueError:
        return None
    return rows.tolist() if len(rows) == len(block) and rows.shape[1] > 1 else None


def _splitter(separator: str | None, number: str) -> Callable[[str], list[float] | None]:
    """Make a function that returns the numbers of a line, or None if it is no row of at least two."""
    between = r"[ \t]+" if separator is None else rf" *{separator} *"
    row = re.compile(rf"{number}(?:{between}{number})+(?:{between})*", re.IGNORECASE | re.ASCII)

    def split(line: str) -> list[float] | None:
        if line[0] in "#!":
            return None
        if '"' in line:
            line = line.replace('"', "").strip()
        if "#" in line or "!" in line:
            line = INLINE_COMMENT.sub("", line)
        if not row.fullmatch(line):
            return None
        if number == COMMA:
            line = line.replace(",", ".")
        fields = line.split(separator)
        try:
            return [float(field) for field in fields if field.strip()]
        except ValueError:  # an exponent of Fortran
            return [float(field.lower().replace("d", "e")) for field in fields if field.strip()]

    return split


def _names(header: list[str], n_columns: int) -> list[str]:
    """Return the names of the columns from the last line of the header that has as many words as there are columns."""
    for line in reversed(header[-3:]):
        for fields in (line.split(";"), line.split("\t"), line.split(","), WIDE_GAP.split(line), line.split()):
            names = [field.strip().strip('"').lower() for field in fields if field.strip()]
            if len(names) == n_columns and not any(NUMBER.fullmatch(n) or n[-1] in ":=" for n in names):
                return names
    return []
