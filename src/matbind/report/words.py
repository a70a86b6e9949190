"""The fixed words of the page, and numbers and names as they stand in them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any, Literal

from matbind.modalities.table import HUB_ORDER, structure_name
from matbind.report.template import asset

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SMALLEST_P = 1e-4

State = Literal["better", "worse", "unclear"]


def state(row: Mapping[str, Any], *, of: str = "") -> State:
    """Return what the interval of a change says, `low` to `high`: ``unclear`` if it includes 0 or is not known.

    Args:
        row: holds the interval.
        of: what goes before the names of the columns.
    """
    low, high = row[f"{of}low"], row[f"{of}high"]
    if low is not None and low > 0:
        return "better"
    return "worse" if high is not None and high < 0 else "unclear"


def share(value: float) -> str:
    """Write a recall or an accuracy: three decimals."""
    return f"{value:.3f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Write a change, with its sign."""
    return f"{value:+.3f}".replace("-", MINUS)


def plain(value: float) -> str:
    """Write any number: three significant figures, no exponent where it is not needed."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("-", MINUS)  # noqa: PLR2004


def interval(row: Mapping[str, Any], of: str = "") -> str:
    """Write both ends of an interval, or a dash where there is none; see :func:`state` for the arguments."""
    low, high = row[f"{of}low"], row[f"{of}high"]
    return DASH if low is None or high is None else f"{share(low)} to {share(high)}"


def intervals_over(seeds: Sequence[int]) -> str:
    """Write what intervals are over, given the seeds of the trainings."""
    if len(seeds) > 1:
        return f"over {len(seeds)} trainings (seeds {listing(map(str, seeds))}) and test materials"
    return "one training each: the interval is over test materials only"


def p_value(value: float) -> str:
    """Write a p-value with its relation: ``p = 0.004`` or ``p < 0.0001``."""
    return f"p < {SMALLEST_P:g}" if value < SMALLEST_P else f"p = {value:.2g}"


def span(values: Iterable[float], form: str = "g") -> str:
    """Write the smallest and the largest of several numbers, once if they are the same."""
    numbers = list(values)
    return " to ".join(dict.fromkeys(format(number, form) for number in (min(numbers), max(numbers))))


def basis(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how large the galleries of some rows are, and what chance would reach there."""
    return f"N = {span(row['n'] for row in rows)}, chance {span((row['chance'] for row in rows), '.2g')}."


def arrow(pair: str) -> str:
    """Write a pair or a fused question for people."""
    return pair.replace("->", " → ")


def listing(names: Iterable[str]) -> str:
    """Write ``a, b and c``."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def readable(name: str) -> str:
    """Write a key of the files as words."""
    return name.replace("_", " ")


def counted(n: int, noun: str) -> str:
    """Write ``1 answer``, ``2 answers``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def capital(sentence: str) -> str:
    """Give a sentence a capital first letter; the rest stays."""
    return sentence[:1].upper() + sentence[1:]


FORMS: dict[str, Callable[..., str]] = {
    form.__name__: form
    for form in (share, signed, interval, p_value, span, basis, arrow, listing, readable, counted, capital)
}


class _Sentences(Formatter):
    """Formats by the functions of this module too: ``{change:signed}``, ``{n:counted pair}``, ``{sizes:span .2g}``."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        name, _, argument = format_spec.partition(" ")
        if name not in FORMS:
            return super().format_field(value, format_spec)
        return FORMS[name](value, *([argument] if argument else []))


@cache
def wording() -> dict[str, Any]:
    """Read the fixed words of the page: tables `question`, `figure`, `table` and `summary`, in there a table a name."""
    text = asset("words.toml").replace("{structure}", structure_name())
    return tomllib.loads(text.replace("{hub}", HUB_ORDER[0]))


def phrase(path: str, /, **values: Any) -> str:
    """Fill values into a text of `wording`.

    Args:
        path: keys of the text, with dots between them, such as ``figure.fused.caption``.
        values: what stands in braces there, by name; beside the usual formats those of `FORMS` can be asked for.
    """
    text: Any = wording()
    for key in path.split("."):
        text = text[key]
    return _Sentences().vformat(text, (), values)
