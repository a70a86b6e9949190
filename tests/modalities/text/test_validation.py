from __future__ import annotations

import polars as pl
import pytest

from matbind.modalities.text.validation import Validator
from tests import checked

GOOD = (
    "TiO2 is Rutile structured and crystallizes in the tetragonal P4_2/mnm space group. Ti(1)4+ is bonded to six "
    "equivalent O(1)2- atoms. All Ti(1)-O(1) bond lengths are 1.96 Å."
)


def validator(settings, formula="TiO2", material_id="m", **options) -> Validator:
    crystals = pl.DataFrame({"material_id": [material_id], "formula": [formula]})
    return Validator(settings(text=options).text, crystals=crystals, records=None)


def rows(words) -> pl.DataFrame:
    schema = {"material_id": pl.String, "text": pl.String}
    return pl.DataFrame({"material_id": ["m"], "text": [words]}, schema=schema).with_row_index("row")


def failing(settings, words, formula="TiO2", **options) -> set[str]:
    return checked.failing("text", settings(text=options).text, validator(settings, formula, **options), rows(words))


EMPTY = {"not_empty", "min_length", "ends_a_sentence", "names_its_elements"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (GOOD, set()),
        (None, EMPTY),
        ("", EMPTY),
        ("  \n " * 40, EMPTY - {"min_length"}),
        ("N/A.", {"min_length", "names_its_elements"}),
        (GOOD * 400, {"max_length"}),
        (GOOD[:120], {"ends_a_sentence"}),
        (GOOD.replace("Å", "Ã…"), {"readable"}),
        (GOOD.replace("Å", "\ufffd"), {"readable"}),
        (GOOD.replace("Ti", "Zr"), {"names_its_elements", "names_no_others", "its_formula"}),
        (GOOD.replace("TiO2", "Ti2O3"), {"its_formula"}),
        (GOOD.replace("O(1)", "S(1)"), {"names_no_others"}),
    ],
)
def test_each_fault_fails_its_own_expectations(settings, words, expected):
    assert failing(settings, words) == expected


@pytest.mark.parametrize(
    "words",
    [
        "A white pigment of titanium and oxygen, found in nature as rutile, anatase and brookite.",
        "The mineral rutile, TiO2, is the most common natural form; it is refractive and birefringent.",
    ],
)
def test_free_text_names_elements_by_name_or_formula(settings, words):
    assert failing(settings, words) == set()


def test_words_that_look_like_symbols_are_no_foreign_elements(settings):
    words = "In this oxide of titanium, oxygen is bonded to three metal atoms. He saw it. As Copper, it is well known."
    assert failing(settings, words) == set()


def test_a_prototype_named_after_other_elements_is_no_foreign_element(settings):
    words = "PbZrO3 is Pb (Zr_0.50 Ti_0.48) O_3 structured and crystallizes in Amm2. Zr(1)4+ is bonded to O(2)2-."
    assert failing(settings, words, formula="ZrPbO3") == set()


def test_joined_site_labels_count_as_sites(settings):
    words = "GaSe is black P-derived structured and crystallizes in P-6m2. Ga(1,2)2+ is bonded to Se(1,2)2-."
    for formula, n_foreign in (("GaSe", 0), ("GaS", 1)):
        assert validator(settings, formula).summarize(rows(words))["n_elements_foreign"].to_list() == [n_foreign]


def test_elements_may_be_missing_where_the_settings_say_so(settings):
    words = "A compound of titanium that is used as a white pigment in paints and in paper."
    assert failing(settings, words) == {"names_its_elements"}
    assert failing(settings, words, max_elements_missing=1) == set()


def test_a_text_need_not_end_a_sentence_where_the_settings_say_so(settings):
    assert failing(settings, GOOD.rstrip("."), ends_a_sentence=False) == set()


def test_text_of_an_unknown_material_is_not_compared(settings):
    row = validator(settings, material_id="other").summarize(rows(GOOD)).row(0, named=True)
    assert (row["n_elements_missing"], row["n_elements_foreign"], row["other_formula"]) == (None, None, None)
