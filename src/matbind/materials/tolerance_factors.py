"""Whether the ions of an ABX3 compound fit the perovskite structure: tolerance factors of radii, electronegativities.

Three factors are known here: Goldschmidt's t, the electronegativity-weighted t* that separates chalcogenide
perovskites, and Bartel's tau, made for oxides and halides. All take Shannon's ionic radii, A in 12-fold, B and X in
6-fold coordination. A formula that cannot be judged says why instead of failing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from types import MappingProxyType
from typing import Any, Literal

from matbind.materials.ions import Abx3, UnknownIonError, anion_of, electronegativity, ions_of

Family = Literal["sulfide", "selenide", "oxide", "halide"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {"O": "oxide", "S": "sulfide", "Se": "selenide", "F": "halide", "Cl": "halide", "Br": "halide", "I": "halide"}
)
T_STAR_WINDOW = MappingProxyType({"S": (0.90, 1.09), "Se": (1.01, 1.05)})
TAU_LIMIT = 4.18
_OXYGEN = "O"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the tolerance factors say of one formula.

    Attributes:
        formula: as given.
        family: by the anion; None if there is none of the seven.
        ions: None if they could not be assigned.
        t: Goldschmidt's tolerance factor; None without ions, likewise below.
        t_star: the electronegativity-weighted one.
        tau: Bartel's; None also where A is not larger than B, where it is not defined.
        perovskite: by t* for sulfides and selenides, by tau for oxides and halides; None if not judged.
        reason: why it is not judged; None if it is.
    """

    formula: str
    family: Family | None
    ions: Abx3 | None
    t: float | None
    t_star: float | None
    tau: float | None
    perovskite: bool | None
    reason: str | None


def judge(formula: str, *, nearest_coordination: bool = False) -> Judgement:
    """Judge whether a compound is expected to be a perovskite.

    Args:
        formula: of any ABX3 compound; others are answered with a reason.
        nearest_coordination: as `matbind.materials.ions.ions_of`: more compounds are judged, with A too small.

    Returns:
        The judgement; nothing is raised for a formula that cannot be judged.

    Source: t* and its windows, Jess et al. 2022; tau < 4.18, Bartel et al. 2019; Mirza et al. 2025, Section 4.2.
    """
    family: Family | None = None
    try:
        anion = anion_of(formula)
        family = FAMILIES[anion]
        ions = ions_of(formula, nearest_coordination=nearest_coordination)
    except UnknownIonError as error:
        return Judgement(formula, family, None, None, None, None, None, str(error))
    t, t_star, tau = goldschmidt(ions), weighted_tolerance(ions), bartel(ions)
    if anion in T_STAR_WINDOW:
        low, high = T_STAR_WINDOW[anion]
        return Judgement(formula, family, ions, t, t_star, tau, low <= t_star <= high, None)
    if tau is None:
        return Judgement(formula, family, ions, t, t_star, None, None, "A is not larger than B")
    return Judgement(formula, family, ions, t, t_star, tau, tau < TAU_LIMIT, None)


def goldschmidt(ions: Abx3) -> float:
    """Return Goldschmidt's tolerance factor t = (rA + rX) / (sqrt 2 (rB + rX)); 1 for an ideal cubic perovskite."""
    r_a, r_b, r_x = ions.radius_a_angstrom, ions.radius_b_angstrom, ions.radius_x_angstrom
    return (r_a + r_x) / (sqrt(2) * (r_b + r_x))


def weighted_tolerance(ions: Abx3) -> float:
    """Return the factor t*: every bond weighed by its difference of electronegativity relative to that with oxygen.

    Source: Jess et al. 2022; Pauling's electronegativities.
    """
    chi = {name: electronegativity(name) for name in (ions.a, ions.b, ions.x, _OXYGEN)}
    weight_a, weight_b = ((chi[ions.x] - chi[m]) / (chi[_OXYGEN] - chi[m]) for m in (ions.a, ions.b))
    return goldschmidt(ions) * weight_a / weight_b


def bartel(ions: Abx3) -> float | None:
    """Return Bartel's tau = rX/rB - nA (nA - (rA/rB) / ln(rA/rB)), below 4.18 for perovskites.

    It is not defined, None, where A is not larger than B.

    Source: Bartel et al., Science Advances 5, eaav0693 (2019), Equation 2.
    """
    ratio = ions.radius_a_angstrom / ions.radius_b_angstrom
    if ratio <= 1:
        return None
    n_a = ions.charge_a
    return ions.radius_x_angstrom / ions.radius_b_angstrom - n_a * (n_a - ratio / log(ratio))


def count_judgements(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Count how compounds are judged: ``perovskite``, ``other``, ``not_judged`` and ``reasons``, a count by reason."""
    reasons = Counter(judgement.reason for judgement in judgements if judgement.reason is not None)
    perovskite = sum(bool(judgement.perovskite) for judgement in judgements if judgement.reason is None)
    other = len(judgements) - perovskite - reasons.total()
    return {"perovskite": perovskite, "other": other, "not_judged": reasons.total(), "reasons": dict(reasons)}
