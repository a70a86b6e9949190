"""Chemical formulas as elements and their amounts."""

from __future__ import annotations

import re
from functools import cache

ELEMENTS = tuple(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "  # noqa: SIM905
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
    "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl "
    "Mc Lv Ts Og".split()
)
"""Symbols of all elements, by atomic number from 1."""
ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(ELEMENTS, start=1)}
HEAVIEST_WITH_RADIUS = 96  # atomic number up to which pymatgen tabulates covalent radii

_FLAT_GROUP = r"\((?:[A-Z][a-z]?\d*)+\)\d*"
FORMULA = rf"(?:[A-Z][a-z]?(?:\d+(?:\.\d+)?)?|\((?:[A-Z][a-z]?\d*|{_FLAT_GROUP})+\)\d*)+"
"""Regular expression of a formula amid the words of a text, groups at most two deep."""

_FLAT = r"(?:[A-Z][a-z]?\d*(?:\.\d+)?)+"
_GROUP = re.compile(rf"\({_FLAT}\)\d*(?:\.\d+)?")
_TERM = re.compile(r"([A-Z][a-z]?|[()])(\d*(?:\.\d+)?)")


@cache
def element_names() -> dict[int, str]:
    """Return the English name of every element in lower case, by atomic number."""
    from pymatgen.core.periodic_table import Element

    return {number: str(Element(symbol).long_name).lower() for symbol, number in ATOMIC_NUMBERS.items()}


def terms(formula: str) -> list[tuple[str, float]]:
    """Read the elements of a formula in their order, each with its amount, groups multiplied out.

    An element that stands twice is listed twice. Whatever is neither a symbol, a number nor a parenthesis is skipped.

    >>> terms("Ca(NiO2)4")
    [('Ca', 1.0), ('Ni', 4.0), ('O', 8.0)]
    """
    factors = [1.0]  # of the groups around a term, read from the end: there a group begins with its factor
    backwards = []
    for name, count in reversed(_TERM.findall(formula)):
        if name == ")":
            factors.append(factors[-1] * float(count or 1))
        elif name == "(":
            factors = factors[:-1] or [1.0]
        else:
            backwards.append((name, factors[-1] * float(count or 1)))
    return backwards[::-1]


def amounts(formula: str | None) -> dict[int, float]:
    """Add up the amount of every element of a formula.

    Args:
        formula: such as `(K(NO2)2)3Co`.

    Returns:
        Amount by atomic number; empty where the text is no formula, names an unknown element or an amount of 0.
    """
    rest, without_groups = None, formula or ""
    while rest != without_groups:
        rest, without_groups = without_groups, _GROUP.sub("H", without_groups)
    totals: dict[int, float] = {}
    if not re.fullmatch(_FLAT, without_groups):
        return totals
    for symbol, amount in terms(formula or ""):
        if symbol not in ATOMIC_NUMBERS or amount <= 0:
            return {}
        totals[ATOMIC_NUMBERS[symbol]] = totals.get(ATOMIC_NUMBERS[symbol], 0.0) + amount
    return totals


def reduced_key(formula_amounts: dict[int, float]) -> str:
    """Name the ratio of elements: the same for FeO, OFe and Fe2O2."""
    total = sum(formula_amounts.values())
    return " ".join(f"{number}:{formula_amounts[number] / total:.4f}" for number in sorted(formula_amounts))
