"""Numbers and names as they stand in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MINUS = "\N{MINUS SIGN}"
SMALLEST_P = 1e-4


def share(value: float) -> str:
    """A recall, an accuracy: three decimals."""
    return f"{value:.3f}".replace("-", MINUS)


def signed(value: float) -> str:
    """A change, with its sign."""
    return f"{value:+.3f}".replace("-", MINUS)


def chance(value: float) -> str:
    """A chance level: two significant figures."""
    return f"{value:.2g}"


def plain(value: float) -> str:
    """Any number: three significant figures, no exponent where it is not needed."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("-", MINUS)  # noqa: PLR2004


def interval(bounds: Sequence[float | None] | None) -> str:
    """Both ends of an interval, or a dash where there is none."""
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return "\N{EN DASH}"
    return f"{share(bounds[0])} to {share(bounds[1])}"


def p_value(value: float) -> str:
    """With its relation: ``p = 0.004`` or ``p < 0.0001``."""
    return f"p < {SMALLEST_P:g}" if value < SMALLEST_P else f"p = {value:.2g}"


def span(values: Iterable[float], form: str = "g") -> str:
    """Smallest to largest, once if they are the same."""
    found = list(values)
    return " to ".join(dict.fromkeys(format(each, form) for each in (min(found), max(found))))


def arrow(pair: str) -> str:
    """A pair or a fused question for people."""
    return pair.replace("->", " → ")


def listing(names: Iterable[str]) -> str:
    """``a, b and c``."""
    found = list(names)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def readable(name: str) -> str:
    """A key of the files as words."""
    return name.replace("_", " ")


def counted(n: int, noun: str) -> str:
    """``1 answer``, ``2 answers``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def capital(sentence: str) -> str:
    """The sentence with a capital first letter; the rest stays."""
    return sentence[:1].upper() + sentence[1:]
