from __future__ import annotations

import re

import pytest

from matbind.modalities.combinations import Combination, all_combinations, metric_name, pair_name, parse_combination
from matbind.modalities.table import TABLE


def test_the_fifteen_combinations_in_order_with_their_hubs():
    assert [(combination.name, combination.hub) for combination in all_combinations()] == [
        ("crystal", "crystal"),
        ("dos", "dos"),
        ("pxrd", "pxrd"),
        ("text", "text"),
        ("crystal+dos", "crystal"),
        ("crystal+pxrd", "crystal"),
        ("crystal+text", "crystal"),
        ("dos+pxrd", "pxrd"),
        ("dos+text", "text"),
        ("pxrd+text", "text"),
        ("crystal+dos+pxrd", "crystal"),
        ("crystal+dos+text", "crystal"),
        ("crystal+pxrd+text", "crystal"),
        ("dos+pxrd+text", "text"),
        ("crystal+dos+pxrd+text", "crystal"),
    ]


def test_pairs_of_three_modalities():
    combination = parse_combination("crystal+dos+text")
    assert combination.spokes == ("dos", "text")
    assert combination.aligned_pairs() == (
        ("crystal", "dos"),
        ("crystal", "text"),
        ("dos", "crystal"),
        ("text", "crystal"),
    )
    assert combination.emergent_pairs() == (("dos", "text"), ("text", "dos"))


@pytest.mark.parametrize("combination", all_combinations(), ids=lambda combination: combination.name)
def test_every_pair_is_of_exactly_one_kind(combination):
    n = len(combination.modalities)
    assert len(combination.pairs()) == len(set(combination.pairs())) == max(1, n * (n - 1))
    assert len(combination.aligned_pairs()) == 2 * (n - 1)
    assert len(combination.emergent_pairs()) == (n - 1) * (n - 2)


def test_single_is_asked_from_view_to_view():
    single = parse_combination("dos")
    assert single.is_single
    assert single.spokes == ()
    assert single.pairs() == (("dos", "dos"),)
    assert single.kind("dos", "dos") == "view"
    assert single.aligned_pairs() == single.emergent_pairs() == ()


def test_names_are_parsed_in_any_order():
    assert parse_combination("text + crystal") == Combination(("crystal", "text"), "crystal")


def test_hub_follows_the_order_given():
    assert parse_combination("crystal+dos+pxrd", hub_order=("dos", "crystal")).hub == "dos"


def test_hub_is_the_first_name_where_the_order_mentions_none():
    assert parse_combination("pxrd+text", hub_order=("crystal",)).hub == "pxrd"


def test_every_name_parses_back_to_its_combination():
    order = ("text", "dos", "pxrd", "crystal")
    for combination in all_combinations(order):
        assert parse_combination(combination.name, order) == combination


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crystal+raman", "unknown modality 'raman'; allowed: crystal, dos, pxrd, text"),
        ("crystal+", "unknown modality ''; allowed: crystal, dos, pxrd, text"),
        ("dos+dos", "modality 'dos' is named twice; allowed, once each: crystal, dos, pxrd, text"),
        ("", "a combination needs at least one modality; allowed: crystal, dos, pxrd, text"),
        ("  ", "a combination needs at least one modality; allowed: crystal, dos, pxrd, text"),
    ],
)
def test_bad_name_is_refused_with_what_is_allowed(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_combination(text)


def test_unknown_hub_is_refused():
    with pytest.raises(ValueError, match="unknown modality 'raman'"):
        all_combinations(("raman",))


def test_hub_outside_is_refused():
    with pytest.raises(ValueError, match="hub 'text' is not one of crystal\\+dos"):
        Combination(("crystal", "dos"), "text")


def test_order_other_than_the_written_one_is_refused():
    with pytest.raises(ValueError, match="written crystal\\+dos, not dos\\+crystal"):
        Combination(("dos", "crystal"), "crystal")


def test_kind_of_an_absent_modality_is_refused():
    with pytest.raises(ValueError, match="'text' is not in the combination crystal\\+dos"):
        parse_combination("crystal+dos").kind("text", "crystal")


def test_a_fifth_modality_needs_only_its_line_in_the_table(monkeypatch):
    monkeypatch.setitem(TABLE, "raman", "no.module.is.asked.for")
    everything = all_combinations()
    assert len(everything) == 31
    assert everything[-1] == Combination(("crystal", "dos", "pxrd", "text", "raman"), "crystal")
    assert parse_combination("raman").hub == "raman"
    assert parse_combination("raman+dos").hub == "dos"


def test_metric_name_is_one_that_mlflow_accepts():
    assert pair_name("text", "dos") == "text->dos"
    assert metric_name("text", "dos") == "text_to_dos"
    assert re.fullmatch(r"[\w\-. /:]+", metric_name("text", "dos"))
