from __future__ import annotations

import pytest

from matbind.materials.formula import amounts, reduced_key


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
