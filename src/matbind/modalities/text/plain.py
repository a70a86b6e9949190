r"""One plain form of what people write: no markup, ASCII where ASCII will do, space groups and case as in the corpus.

Descriptions come out of web pages, LaTeX and word processors: ``BaTiO₃``, ``BaTiO<sub>3</sub>`` and ``$BaTiO_{3}$`` are
one formula, ``Pm3̅m``, ``Pm\bar{3}m`` and ``pm-3m`` one space group. Training texts and queries both pass through
:func:`plain`, so that every variant has the tokens of its plain form.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache

from matbind.materials.formula import ATOMIC_NUMBERS, ELEMENTS

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)[^<>]{0,200}>")
_BREAKS = {"br", "p", "div", "li", "tr", "h1", "h2", "h3"}
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－⁻"), "-")  # noqa: RUF001  # what they are is the point
_DEGREES = dict.fromkeys(map(ord, "º˚∘"), "°")
_OVERLINES = "\u0304\u0305"

_LATEX = (
    (re.compile(r"\\(?:text|textrm|mathrm|mathit|mathbf|rm|ce|operatorname)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:bar|overline)\s*(?:\{([^{}]*)\}|(\w))"), r"-\1\2"),
    (re.compile(r"\\(?:AA|[Aa]ngstrom|r\{A\})(?:\{\})?"), "Å"),
    (re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree"), "°"),
    (re.compile(r"\\[,;:! ]"), " "),
    (re.compile(r"[_^]\{([^{}]*)\}"), r"\1"),
    (re.compile(r"[_^](?=\d)"), ""),
    (re.compile(r"[$\\]"), ""),
)
_WRITTEN = (
    (re.compile(r"(\d)\s*(?:[Aa]ngstroms?\b|å)"), r"\1 Å"),
    (re.compile(r"(\d\.\d+) ?A(?![\w(])"), r"\1 Å"),
    (re.compile(r"(\d)Å"), r"\1 Å"),
    (re.compile(r"(\d)\s*°"), r"\1°"),
    (re.compile(r"[*`]+"), ""),
    (re.compile(r"^[\s#>\"'“”‘’«»•-]+"), ""),  # noqa: RUF001
)
_GROUP_FIRST = re.compile(r"\b(space group) (?:symbol )?\(?([A-Za-z][\w/-]*)\)?")
_GROUP_LAST = re.compile(r"(?<!\S)(\(?)([A-Za-z][\w/-]*)(\)?) space group")

_ION = re.compile(r"\b([a-z]{1,2})(?:\(\d+\)|\d+(?:\.\d+)?[+-])")
_WORD = re.compile(r"[a-z][a-z0-9.()]*[a-z0-9)]|[a-z]")
SYMBOLS_AND_WORDS = frozenset("As At Be He I In No".split())  # noqa: SIM905
"""Symbols of elements that are words of English too."""
_LONGEST_FORMULA = 60
_LASTING = frozenset(ELEMENTS[:96])  # nobelium is in no crystal, and "no2" is not of it


def plain(text: str) -> str:
    """Return a text without markup, its marks in ASCII but for Å and °, its space groups as the corpus writes them.

    A text without any capital gets those of its formulas, ions and space group back.
    """
    text = _without_markup(text)
    text = unicodedata.normalize("NFKC", _without_overlines(text.translate(_DEGREES))).translate(_DASHES)
    text = " ".join("".join(c for c in text if unicodedata.category(c) != "Cf").split())
    for pattern, replacement in _WRITTEN:
        text = pattern.sub(replacement, text)
    small = text.replace("Å", "å").islower()
    text = _GROUP_FIRST.sub(_group_last, text)
    text = _GROUP_LAST.sub(lambda match: f"{match[1]}{_space_group(match[2]) or match[2]}{match[3]} space group", text)
    return _with_capitals(text) if small else text


def is_space_group(word: str) -> bool:
    """Return whether a word is the symbol of a space group, written in any of the usual ways."""
    return _space_group(word) is not None


def _without_markup(text: str) -> str:
    text = _TAG.sub(lambda tag: " " if tag[2].lower() in _BREAKS else "", html.unescape(text))
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def _without_overlines(text: str) -> str:
    """Write a number under a line with a minus; the line is written after its number, or after the letter before it."""
    text = re.sub(rf"(\d)[{_OVERLINES}]", r"-\1", text)
    return re.sub(rf"([A-Za-z])[{_OVERLINES}](\d)", r"\1-\2", text)


def _group_last(match: re.Match[str]) -> str:
    symbol = _space_group(match[2])
    return f"{symbol} space group" if symbol else match[0]


def _space_group(word: str) -> str | None:
    return _space_groups().get(word.replace("_", "").lower())


@cache
def _space_groups() -> dict[str, str]:
    """Return the short Hermann-Mauguin symbols, such as ``P6_3/mmc``, by what is left of them in careless writing."""
    import spglib

    types = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
    symbols = dict.fromkeys(kind.international_short for kind in types if kind)
    plainest = {symbol.replace("_", "").lower(): symbol for symbol in symbols}
    return {symbol.replace("_", "").replace("-", "").lower(): symbol for symbol in symbols} | plainest


def _with_capitals(text: str) -> str:
    """Give a text in small letters the capitals of its elements, space group and sentences."""
    ions = {symbol.capitalize() for symbol in _ION.findall(text)} & ATOMIC_NUMBERS.keys()

    def capitals(match: re.Match[str]) -> str:
        word = match[0]
        of_ions = _elements(word, frozenset(ions))
        if word.capitalize() in SYMBOLS_AND_WORDS and not re.match(
            r"\(\d|\d?[+-]| (?:atom|site)|-[a-z]{1,2}\(", text[match.end() :]
        ):
            return word
        if of_ions and word.capitalize() not in SYMBOLS_AND_WORDS - ions:
            return of_ions
        is_subject = match.start() == 0 and re.match(r" (?:is|crystallizes) |$", text[match.end() :])
        formula = _elements(word, _LASTING)
        if formula and (any(c.isdigit() for c in word) or (is_subject and _is_binary(formula))):
            return formula
        return word

    text = _WORD.sub(capitals, text.replace("å", "Å"))
    text = re.sub(r"(\S+) space group", lambda m: f"{_space_group(m[1]) or m[1]} space group", text)
    return re.sub(r"(?<=\. )[a-z]", lambda letter: letter[0].upper(), text)


def _is_binary(formula: str) -> bool:
    return sum(letter.isupper() for letter in formula) <= 2  # noqa: PLR2004  # more of them spell words, such as CuBiC


def _elements(word: str, symbols: frozenset[str]) -> str | None:
    """Write a word of small letters as a formula of these elements, as few of them as can be; None if it is none."""
    if len(word) > _LONGEST_FORMULA:
        return None
    best: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(1, len(word) + 1):
        options = []
        if word[end - 1] in "0123456789.()" and best[end - 1] is not None:
            options.append([*(best[end - 1] or []), word[end - 1]])
        for length in (1, 2):
            symbol = word[end - length : end].capitalize()
            if length <= end and symbol in symbols and best[end - length] is not None:
                options.append([*(best[end - length] or []), symbol])
        best[end] = min(options, key=len, default=None)
    return "".join(best[-1]) if best[-1] else None
