"""How many electrons of each element a DOS counts, by the method that calculated it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from matbind.materials.formula import ATOMIC_NUMBERS
from matbind.materials.structure import HEAVIEST_ATOMIC_NUMBER

GFN1 = (
    "H1 He2 Li1 Be2 B3 C4 N5 O6 F7 Ne8 Na1 Mg2 Al3 Si4 P5 S6 Cl7 Ar8 K1 Ca2 Sc3 Ti4 V5 Cr6 Mn7 Fe8 Co9 Ni10 Cu11 "
    "Zn2 Ga3 Ge4 As5 Se6 Br7 Kr8 Rb1 Sr2 Y3 Zr4 Nb5 Mo6 Tc7 Ru8 Rh9 Pd10 Ag11 Cd2 In3 Sn4 Sb5 Te6 I7 Xe8 Cs1 Ba2 "
    "La3 Ce3 Pr3 Nd3 Pm3 Sm3 Eu3 Gd3 Tb3 Dy3 Ho3 Er3 Tm3 Yb3 Lu3 Hf4 Ta5 W6 Re7 Os8 Ir9 Pt10 Au11 Hg2 Tl3 Pb4 Bi5 "
    "Po6 At7 Rn8"
)
"""Lanthanides bring three electrons, their f shell is in the core.

Source: Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017)."""

MATERIALS_PROJECT = (
    "H1 He2 Li3 Be4 B3 C4 N5 O6 F7 Ne8 Na7 Mg8 Al3 Si4 P5 S6 Cl7 Ar8 K9 Ca10 Sc11 Ti10 V11 Cr12 Mn13 Fe14 Co9 "
    "Ni16 Cu17 Zn12 Ga13 Ge14 As5 Se6 Br7 Kr8 Rb9 Sr10 Y11 Zr12 Nb11 Mo12 Tc13 Ru14 Rh15 Pd10 Ag11 Cd12 In13 Sn14 "
    "Sb5 Te6 I7 Xe8 Cs9 Ba10 La11 Ce12 Pr11 Nd11 Pm11 Sm11 Eu17 Gd18 Tb9 Dy9 Ho9 Er9 Tm9 Lu9 Hf10 Ta11 Re13 Os14 "
    "Ir9 Pt10 Au11 Hg12 Tl13 Pb14 Bi5 Ac11 Th12 Pa13 U14 Np15 Pu16"
)
"""Valence of the PBE projector-augmented waves of pymatgen's MPRelaxSet, for its GGA and GGA+U calculations.

W and Yb, whose potentials changed over the years, are left out; so are the r2SCAN calculations with other potentials.

Source: the numbers equal those pymatgen distributes (potentials in MPRelaxSet.yaml, ZVAL of their POTCAR summaries)."""

TABLES: dict[str, str] = {"gfn1": GFN1, "materials-project": MATERIALS_PROJECT}


def electrons_by_element(method: str, overrides: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the electrons that every element brings: those of a table of `TABLES`, and others laid over them.

    Returns:
        Shape (119,), by atomic number; NaN where the method has no such element.
    """
    electrons = np.full(HEAVIEST_ATOMIC_NUMBER + 1, np.nan)
    for entry in TABLES[method].split():
        symbol = entry.rstrip("0123456789")
        electrons[ATOMIC_NUMBERS[symbol]] = float(entry[len(symbol) :])
    for symbol, count in overrides.items():
        electrons[ATOMIC_NUMBERS[symbol]] = count
    return electrons
