from __future__ import annotations

import pytest

from matbind.materials.ions import Abx3, UnknownIonError, anion_of, electronegativity, ions_of


@pytest.mark.parametrize("formula", ["SrTiO3", "TiSrO3", "O3TiSr", "Sr2Ti2O6"])
def test_a_is_the_cation_of_lower_charge_whatever_the_notation(formula):
    assert ions_of(formula) == Abx3("Sr", "Ti", "O", 2, 4, -2, 1.44, 0.605, 1.40)


def test_of_equal_charges_the_larger_is_a():
    ions = ions_of("AlLaO3")
    assert (ions.a, ions.b, ions.charge_a, ions.charge_b) == ("La", "Al", 3, 3)


def test_high_spin_where_both_are_listed():
    assert ions_of("LaMnO3").radius_b_angstrom == 0.645  # low spin is 0.58


@pytest.mark.parametrize("formula", ["SrTiO3", "CsPbI3", "NaNbO3", "LaYS3"])
def test_radii_are_those_of_pymatgen(formula):
    from pymatgen.core import Species

    ions = ions_of(formula)
    assert ions.radius_a_angstrom == Species(ions.a, ions.charge_a).get_shannon_radius("XII")
    assert ions.radius_b_angstrom == Species(ions.b, ions.charge_b).get_shannon_radius("VI")
    assert ions.radius_x_angstrom == Species(ions.x, ions.charge_x).get_shannon_radius("VI")


def test_the_anion_is_known_even_where_the_radii_are_not():
    assert anion_of("MgSiO3") == "O"
    with pytest.raises(UnknownIonError, match="Mg\\+2 in coordination XII"):
        ions_of("MgSiO3")


def test_electronegativity_is_paulings():
    assert (electronegativity("O"), electronegativity("Ba")) == (3.44, 0.89)
    with pytest.raises(UnknownIonError, match="no electronegativity of Ar"):
        electronegativity("Ar")
