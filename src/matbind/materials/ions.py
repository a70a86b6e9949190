"""The ions of an ABX3 compound: which element sits where, its charge, Shannon radius and electronegativity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from types import MappingProxyType

ANION_CHARGE = MappingProxyType({"O": -2, "S": -2, "Se": -2, "F": -1, "Cl": -1, "Br": -1, "I": -1})
A_COORDINATION, B_COORDINATION, X_COORDINATION = "XII", "VI", "VI"
_COORDINATIONS = ("XII", "XI", "X", "IX", "VIII", "VII", "VI")
_AMOUNTS = [1, 1, 3]


class UnknownIonError(ValueError):
    """A formula that is no ABX3 compound of ions with known charges, radii and electronegativities."""


@dataclass(frozen=True, slots=True)
class Abx3:
    """The ions of an ABX3 compound.

    Attributes:
        a: element of the cation of lower charge; of two of the same charge, the larger.
        b: element of the other cation.
        x: element of the anion.
        charge_a: in elementary charges; likewise for b and x.
        radius_a_angstrom: Shannon's ionic radius in 12-fold coordination.
        radius_b_angstrom: in 6-fold coordination, high spin where both are listed; likewise for x.
    """

    a: str
    b: str
    x: str
    charge_a: int
    charge_b: int
    charge_x: int
    radius_a_angstrom: float
    radius_b_angstrom: float
    radius_x_angstrom: float


def ions_of(formula: str, *, nearest_coordination: bool = False) -> Abx3:
    """Assign charges, sites and radii to the elements of an ABX3 formula.

    The charges are the most frequent ones among known crystals that make the compound neutral.

    Args:
        formula: any notation that pymatgen reads.
        nearest_coordination: where Shannon lists no 12-fold radius of A, take that of the highest listed coordination,
            at least 6. It is smaller than the 12-fold one would be.

    Raises:
        UnknownIonError: if it is no ABX3 compound with one of the anions of `ANION_CHARGE`, no charges balance, or
            Shannon lists no radius or Pauling no electronegativity.
    """
    cations, anion = _elements(formula)
    charge = _charges(formula, cations, anion)
    radius_x = _radius(anion, ANION_CHARGE[anion], X_COORDINATION)
    # Of the same charge, the larger in the same coordination is A.
    a, b = sorted(cations, key=lambda name: (charge[name], -_radius(name, charge[name], B_COORDINATION)))
    radius_a = _radius(a, charge[a], A_COORDINATION, nearest=nearest_coordination)
    radius_b = _radius(b, charge[b], B_COORDINATION)
    for name in (a, b):
        electronegativity(name)
    return Abx3(a, b, anion, charge[a], charge[b], ANION_CHARGE[anion], radius_a, radius_b, radius_x)


def anion_of(formula: str) -> str:
    """Return the anion X of an ABX3 formula; raise `UnknownIonError` as `ions_of` if there is none."""
    return _elements(formula)[1]


def electronegativity(element: str) -> float:
    """Return Pauling's electronegativity.

    Raises:
        UnknownIonError: if none is known.
    """
    from pymatgen.core.periodic_table import Element

    value = Element(element).data.get("X")
    if not isinstance(value, float | int) or not isfinite(value):
        raise UnknownIonError(f"no electronegativity of {element}")
    return float(value)


def _elements(formula: str) -> tuple[tuple[str, str], str]:
    from pymatgen.core.composition import Composition

    try:
        amounts = Composition(formula).reduced_composition.get_el_amt_dict()
    except ValueError as error:
        raise UnknownIonError(f"{formula!r} is no formula") from error
    if sorted(amounts.values()) != _AMOUNTS:
        raise UnknownIonError("not of the form ABX3")
    anion = max(amounts, key=lambda name: amounts[name])
    first, second = (name for name in amounts if name != anion)
    if anion not in ANION_CHARGE:
        raise UnknownIonError(f"X is {anion}, expected one of {', '.join(ANION_CHARGE)}")
    return (first, second), anion


def _charges(formula: str, cations: tuple[str, str], anion: str) -> dict[str, int]:
    from pymatgen.core.composition import Composition

    composition = Composition(formula).reduced_composition
    # Frequent oxidation states first; all that were ever reported only if none of those is neutral.
    for every in (False, True):
        override = {anion: [ANION_CHARGE[anion]]}
        for guess in composition.oxi_state_guesses(oxi_states_override=override, all_oxi_states=every):
            if all(guess[name] > 0 and float(guess[name]).is_integer() for name in cations):
                return {name: int(guess[name]) for name in cations}
    raise UnknownIonError(f"no charges of {cations[0]} and {cations[1]} balance")


@lru_cache(maxsize=1024)
def _radius(element: str, charge: int, coordination: str, *, nearest: bool = False) -> float:
    """Return Shannon's ionic radius in angstrom; `nearest` takes the highest listed coordination, at least 6."""
    from pymatgen.core.periodic_table import Element

    listed = Element(element).data.get("Shannon radii")
    by_coordination = listed.get(str(charge), {}) if isinstance(listed, dict) else {}
    coordinations = _COORDINATIONS if nearest else (coordination,)
    spins = next((by_coordination[name] for name in coordinations if name in by_coordination), None)
    if spins is None:
        raise UnknownIonError(f"no Shannon radius of {element}{charge:+d} in coordination {coordination}")
    spin = next(name for name in ("", "High Spin", *spins) if name in spins)
    return float(spins[spin]["ionic_radius"])
