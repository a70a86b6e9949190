from __future__ import annotations

import pytest

from matbind.materials.formula import ATOMIC_NUMBERS, amounts, element_names, reduced_key, terms


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("BaTiO3", {56: 1, 22: 1, 8: 3}),
        ("Ca(NiO2)4", {20: 1, 28: 4, 8: 8}),
        ("(K(NO2)2)3Co", {19: 3, 7: 6, 8: 12, 27: 1}),
        ("Fe0.5Ni1.5", {26: 0.5, 28: 1.5}),
        ("CO", {6: 1, 8: 1}),
    ],
)
def test_amounts_multiply_parentheses_out(formula, expected):
    assert amounts(formula) == expected


@pytest.mark.parametrize("formula", ["", None, "batio3", "Xx2O", "Ba Ti", "H0", "(CaO", "Ba-Ti"])
def test_what_is_no_formula_has_no_amounts(formula):
    assert amounts(formula) == {}


def test_reduced_key_names_the_ratio():
    assert reduced_key(amounts("Fe2O2")) == reduced_key(amounts("OFe")) == "8:0.5000 26:0.5000"
    assert reduced_key(amounts("Fe2O3")) != reduced_key(amounts("FeO"))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("CH3NH3PbI3", [("C", 1), ("H", 3), ("N", 1), ("H", 3), ("Pb", 1), ("I", 3)]),
        ("Ca((NO2)2)3", [("Ca", 1), ("N", 6), ("O", 12)]),
        ("(Ba,Sr)TiO3", [("Ba", 1), ("Sr", 1), ("Ti", 1), ("O", 3)]),
        ("CaO)2", [("Ca", 2), ("O", 2)]),
        ("(CaO", [("Ca", 1), ("O", 1)]),
        ("", []),
    ],
)
def test_terms_keep_order_and_repetition_and_skip_what_is_no_term(formula, expected):
    assert terms(formula) == expected


def test_elements_are_those_of_pymatgen():
    from pymatgen.core.periodic_table import Element

    assert {element.symbol: element.Z for element in Element} == ATOMIC_NUMBERS
    assert element_names()[26] == "iron"
