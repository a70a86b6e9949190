from __future__ import annotations

import math
from dataclasses import replace

import polars as pl
import pytest

from matbind.materials.ions import ions_of
from matbind.materials.tolerance_factors import bartel, count_judgements, goldschmidt, judge, weighted_tolerance
from tests.factories import DATA


@pytest.mark.parametrize(
    ("formula", "t_star", "perovskite"),
    [
        ("BaZrS3", 1.06606, True),
        ("BaHfS3", 1.06002, True),
        ("SrZrS3", 1.00110, True),
        ("CaZrS3", 0.96009, True),
        ("SrHfS3", 0.99543, True),
        ("CaTaSe3", 1.03585, True),
        ("BaZrSe3", 1.05854, False),
        ("LaYS3", 0.85260, False),
        ("BaTiS3", 1.20807, False),
    ],
)
def test_weighted_tolerance_and_windows_of_known_chalcogenides(formula, t_star, perovskite):
    judgement = judge(formula)
    assert judgement.t_star == pytest.approx(t_star, abs=5e-6)
    assert judgement.perovskite is perovskite
    assert judgement.reason is None


@pytest.mark.parametrize(
    ("formula", "t"),
    [
        ("SrTiO3", (1.44 + 1.40) / (math.sqrt(2) * (0.605 + 1.40))),
        ("CsPbI3", (1.88 + 2.20) / (math.sqrt(2) * (1.19 + 2.20))),
    ],
)
def test_goldschmidt_by_hand(formula, t):
    assert goldschmidt(ions_of(formula)) == pytest.approx(t, rel=1e-12)


def test_weights_cancel_in_an_oxide():
    assert weighted_tolerance(ions_of("SrTiO3")) == goldschmidt(ions_of("SrTiO3"))


@pytest.mark.parametrize(
    ("formula", "tau", "perovskite"),
    [
        # rX/rB - nA (nA - (rA/rB) / ln(rA/rB)) with Shannon's radii in angstrom.
        ("CaTiO3", 1.40 / 0.605 - 2 * (2 - (1.34 / 0.605) / math.log(1.34 / 0.605)), True),
        ("SrTiO3", 3.80355, True),
        ("BaTiO3", 3.75186, True),
        ("LaAlO3", 1.40 / 0.535 - 3 * (3 - (1.36 / 0.535) / math.log(1.36 / 0.535)), True),
        ("CsPbBr3", 1.96 / 1.19 - (1 - (1.88 / 1.19) / math.log(1.88 / 1.19)), True),
        ("CsPbI3", 4.30329, False),
        ("NaBeCl3", 5.76106, False),
    ],
)
def test_tau_of_oxides_and_halides_by_hand(formula, tau, perovskite):
    judgement = judge(formula)
    assert judgement.tau == pytest.approx(tau, abs=1e-5)
    assert judgement.perovskite is perovskite


def test_tau_needs_a_larger_than_b():
    assert bartel(replace(ions_of("SrTiO3"), radius_a_angstrom=0.5)) is None


@pytest.mark.parametrize(
    ("formula", "family", "reason"),
    [
        ("NaCl", None, "not of the form ABX3"),
        ("nonsense", None, "'nonsense' is no formula"),
        ("", None, "'' is no formula"),
        ("BaTiTe3", None, "X is Te, expected one of O, S, Se, F, Cl, Br, I"),
        ("CaPS3", "sulfide", "no Shannon radius of P+4 in coordination VI"),
        ("MgSiO3", "oxide", "no Shannon radius of Mg+2 in coordination XII"),
        ("CsSnSe3", "selenide", "no charges of Cs and Sn balance"),
    ],
)
def test_what_cannot_be_judged_says_why(formula, family, reason):
    judgement = judge(formula)
    assert (judgement.family, judgement.reason, judgement.perovskite) == (family, reason, None)


def test_a_smaller_coordination_stands_in_where_asked():
    judgement = judge("MgSiO3", nearest_coordination=True)
    assert judgement.ions is not None
    assert judgement.ions.radius_a_angstrom == 0.89  # Mg 2+ in 8-fold coordination
    assert judge("CaTiO3", nearest_coordination=True) == judge("CaTiO3")


def test_the_sulfides_of_the_sample_are_counted():
    formulas = pl.read_parquet(DATA / "structures.parquet", columns=["formula"])["formula"].unique()
    counts = count_judgements([judgement for judgement in map(judge, formulas) if judgement.family == "sulfide"])
    assert (counts["perovskite"], counts["other"], counts["not_judged"]) == (2, 5, 9)
    assert sum(counts["reasons"].values()) == counts["not_judged"]
