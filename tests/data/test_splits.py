from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matbind.data.splits import split_by_formula

FORMULAS = [f"A{n}B" for n in range(200)] * 2 + ["TiO2"] * 20


def shares(split: list[str]) -> dict[str, float]:
    return {side: split.count(side) / len(split) for side in set(split)}


def test_the_sides_hold_their_shares():
    actual = shares(split_by_formula(FORMULAS, validation=0.1, test=0.2, seed=0))
    assert actual == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.05)


@given(st.lists(st.sampled_from(["A", "B", "C", "D", "E", "F"]), min_size=1, max_size=40), st.integers(0, 5))
def test_no_formula_is_on_two_sides(formulas, seed):
    split = split_by_formula(formulas, validation=0.2, test=0.3, seed=seed)
    assert len(split) == len(formulas)
    assert len(set(zip(formulas, split, strict=True))) == len(set(formulas))


def test_the_same_seed_gives_the_same_split():
    first, second = (split_by_formula(FORMULAS, validation=0.1, test=0.2, seed=3) for _ in range(2))
    assert first == second


def test_another_seed_gives_another_split():
    first, second = (split_by_formula(FORMULAS, validation=0.1, test=0.2, seed=seed) for seed in (3, 4))
    assert first != second


def test_the_order_of_the_materials_does_not_matter():
    split = split_by_formula(FORMULAS, validation=0.1, test=0.2, seed=0)
    reversed_split = split_by_formula(FORMULAS[::-1], validation=0.1, test=0.2, seed=0)
    assert reversed_split[::-1] == split
