"""Chemical formulas as element amounts."""

from __future__ import annotations

import re
from functools import cache

_FLAT = r"(?:[A-Z][a-z]?\d*(?:\.\d+)?)+"
_GROUP = re.compile(rf"\(({_FLAT})\)(\d*(?:\.\d+)?)")
_WHOLE = re.compile(_FLAT)
_PART = re.compile(r"([A-Z][a-z]?)(\d*(?:\.\d+)?)")


@cache
def atomic_numbers() -> dict[str, int]:
    """Atomic number of every element symbol."""
    from pymatgen.core.periodic_table import Element

    return {element.symbol: int(element.Z) for element in Element}


@cache
def element_names() -> dict[int, str]:
    """English name of every element in lower case, by atomic number."""
    from pymatgen.core.periodic_table import Element

    return {int(element.Z): str(element.long_name).lower() for element in Element}


def amounts(formula: str | None) -> dict[int, float]:
    """Amount of every element of a formula, parentheses multiplied out.

    Args:
        formula: such as `(K(NO2)2)3Co`.

    Returns:
        Amount by atomic number; empty where the text is no formula or names an unknown element.
    """
    flat, rest = formula or "", ""
    while flat != rest:
        rest, flat = flat, _GROUP.sub(_expanded, flat)
    found: dict[int, float] = {}
    if not _WHOLE.fullmatch(flat):
        return found
    numbers = atomic_numbers()
    for symbol, count in _PART.findall(flat):
        if symbol not in numbers or (count and float(count) <= 0):
            return {}
        found[numbers[symbol]] = found.get(numbers[symbol], 0.0) + float(count or 1)
    return found


def reduced_key(formula_amounts: dict[int, float]) -> str:
    """A name for the ratio of elements: the same for FeO, OFe and Fe2O2."""
    total = sum(formula_amounts.values())
    return " ".join(f"{number}:{formula_amounts[number] / total:.4f}" for number in sorted(formula_amounts))


def _expanded(match: re.Match[str]) -> str:
    times = float(match[2] or 1)
    return "".join(f"{symbol}{float(count or 1) * times:g}" for symbol, count in _PART.findall(match[1]))
