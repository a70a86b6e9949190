from __future__ import annotations

import numpy as np
import pytest

from matbind.base.errors import UserError
from matbind.modalities.text import features as text
from matbind.modalities.text.checkpoint import FrozenModel
from matbind.modalities.text.features import (
    amount_words,
    composition_of,
    fit,
    sentences,
    tokens,
    words,
)
from matbind.modalities.text.settings import FeaturesSettings
from tests.checkpoints import save_tiny_bert
from tests.factories import material

CORPUS = FeaturesSettings(tokenizer="corpus", checkpoint=None, max_tokens=64, min_count=1)


def plain(sentence: str) -> list[str]:
    return [token.word for token in words(sentence)]


def values(sentence: str) -> list[tuple[str, float]]:
    return [(token.word, token.value) for token in words(sentence) if token.value]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Ca(NiO2)4", ["Ca", "Ni4", "O8"]),
        ("BaTiO3", ["Ba", "Ti", "O3"]),
        ("Ir(Na(NO2)2)3", ["Ir", "Na3", "N6", "O12"]),
        ("(NH4)2SO4", ["N2", "H8", "S", "O4"]),
        ("Li0.5CoO2", ["Li0.5", "Co", "O2"]),
        ("PdPd12", ["Pd", "Pd12"]),
        ("CH3NH3PbI3", ["C", "H3", "N", "H3", "Pb", "I3"]),
    ],
)
def test_formulas_become_elements_and_counts(formula, expected):
    assert amount_words(formula) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("BaTiO3 crystallizes in the cubic Pm-3m space group.", ["Ba", "Ti", "O3", "cubic", "Pm-3m"]),
        ("Ca(1) is bonded to twelve equivalent O(1) atoms.", ["Ca", "twelve", "O"]),
        (
            "Ba2+ is bonded in a 12-coordinate geometry to O2- atoms.",
            ["Ba", "2+", "12-coordinate", "geometry", "O", "2-"],
        ),
        ("edge and corner-sharing TiO6 octahedra", ["edge", "corner", "sharing", "Ti", "O6", "octahedra"]),
        ("oriented in the (0, 0, np.int64(1)) direction", ["0", "0", "1", "direction"]),
    ],
)
def test_sentences_become_words_without_grammar(sentence, expected):
    assert plain(sentence) == expected


@pytest.mark.parametrize(
    "edge",
    [
        "lattice constant 3.905 Å",
        "lattice parameter of 3.905 Å",
        "lattice parameters a = 3.905 Å",
        "a = 3.905 Å",
        "cell edge: 3.905 Å",
    ],
)
def test_the_edge_of_a_cell_is_no_length_of_a_bond(edge):
    assert plain(f"SrTiO3, {edge}, Ti-O 1.95 Å") == ["Sr", "Ti", "O3", "Ti", "O", "[length]"]


def test_the_word_in_is_not_the_element_indium():
    assert plain("In the first In3+ site, In(1) is bonded to S.") == ["In", "3+", "In", "S"]


def test_lengths_and_angles_are_values_beside_their_token():
    assert values("The length is 2.31 Å and the tilt is 38° or 40.5°.") == [
        ("[length]", 2.31),
        ("[angle]", 38),
        ("[angle]", 40.5),
    ]


def test_ranges_are_two_values():
    sentence = "distances ranging from 2.31-2.47 Å with angles that range from 3-62°"
    assert values(sentence) == [("[length]", 2.31), ("[length]", 2.47), ("[angle]", 3), ("[angle]", 62)]
    assert plain(sentence) == ["distances", "ranging", "[length]", "[length]", "angles", "range", "[angle]", "[angle]"]


def test_sentences_end_at_a_full_stop_before_a_capital():
    assert sentences(" A is 2.31 Å. Both are equal. and so on.\nTi ") == [
        "A is 2.31 Å.",
        "Both are equal. and so on.",
        "Ti",
    ]


def test_tokens_know_the_number_of_their_sentence():
    numbered = tokens("Pd is cubic. All lengths are 2.80 Å.")
    assert [(number, token.word) for number, token in numbered] == [(0, "Pd"), (0, "cubic"), (1, "[length]")]


def test_the_opening_formula_is_a_composition():
    composition = composition_of("Ca(NiO2)4 is cubic. Ca is bonded to NiO4.")
    assert np.flatnonzero(composition).tolist() == [7, 19, 27]  # O, Ca, Ni
    np.testing.assert_allclose(composition[[7, 19, 27]], [8 / 13, 1 / 13, 4 / 13], rtol=1e-6)


def test_a_formula_with_groups_in_groups_opens_a_description():
    composition = composition_of("Ir(Na(NO2)2)3 crystallizes in the trigonal R-3m space group.")
    np.testing.assert_allclose(composition[[6, 7, 10, 76]] * 22, [6, 12, 3, 1], rtol=1e-5)  # N, O, Na, Ir


@pytest.mark.parametrize("given", ["", "The crystal is cubic."])
def test_a_text_without_a_formula_has_no_composition(given):
    assert not composition_of(given).any()


def arrays_of(given: str, meta=None, settings=CORPUS) -> dict[str, np.ndarray]:
    meta = meta or fit([material(text=given)], settings)
    return text.Featurizer(settings, meta)(material(text=given))


def test_tokens_carry_their_value_and_sentence():
    arrays = arrays_of("Pd is cubic. All lengths are 2.80 Å.")
    meta = fit([material(text="Pd is cubic. All lengths are 2.80 Å.")], CORPUS)
    assert [meta["vocabulary"][i] for i in arrays["token"]] == ["Pd", "cubic", "[length]"]
    np.testing.assert_allclose(arrays["value"], [0, 0, 2.8])
    assert arrays["sentence"].tolist() == [0, 0, 1]


def test_the_vocabulary_ranks_words_by_their_count():
    meta = fit([material(text="cubic Pd O"), material(text="cubic O"), material(text="cubic")], CORPUS)
    assert meta["vocabulary"] == ["[pad]", "[unknown]", "[length]", "[angle]", "cubic", "O", "Pd"]


def test_a_rare_word_is_not_in_the_vocabulary():
    common = CORPUS.model_copy(update={"min_count": 2})
    assert fit([material(text="cubic Pd"), material(text="cubic")], common)["vocabulary"][4:] == ["cubic"]


def test_a_word_that_training_did_not_have_is_unknown():
    meta = fit([material(text="cubic Pd")], CORPUS)
    assert arrays_of("hexagonal Pd", meta)["token"].tolist() == [text.UNKNOWN, meta["vocabulary"].index("Pd")]


def test_words_in_small_letters_are_those_of_the_vocabulary():
    meta = fit([material(text="NaCl is Halite structured")], CORPUS)
    assert (
        arrays_of("nacl is halite structured", meta)["token"].tolist()
        == arrays_of("NaCl is Halite structured", meta)["token"].tolist()
    )


def test_a_formula_that_training_did_not_have_is_made_of_known_tokens():
    meta = fit([material(text="BaTiO3 and SrZrO3")], CORPUS)
    assert text.UNKNOWN not in arrays_of("SrTiO3", meta)["token"]


def test_texts_are_cut_at_max_tokens():
    assert len(arrays_of("Pd O " * 100)["token"]) == 64


@pytest.mark.parametrize(
    ("given", "message"), [("", "the text is empty"), (" \n", "empty"), ("is the and", "holds no word")]
)
def test_a_text_that_says_nothing_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        arrays_of(given, fit([material(text="Pd")], CORPUS))


def test_a_material_without_text_has_no_arrays():
    assert text.Featurizer(CORPUS, fit([], CORPUS))(material()) is None


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


def test_a_checkpoint_cuts_text_with_its_own_tokenizer(checkpoint):
    settings = FeaturesSettings(tokenizer="checkpoint", checkpoint=checkpoint, max_tokens=24, min_count=1)
    arrays = arrays_of("Pd is hexagonal .", settings=settings)
    assert arrays["token"].tolist() == [2, 4, 6, 1, 8, 3]
    assert not arrays["value"].any()


def test_a_text_too_long_for_max_tokens_is_cut_with_its_end_mark(checkpoint):
    settings = FeaturesSettings(tokenizer="checkpoint", checkpoint=checkpoint, max_tokens=8, min_count=1)
    assert arrays_of("Pd " * 50, settings=settings)["token"].tolist() == [2, *[4] * 6, 3]


@pytest.mark.parametrize("tokenizer", ["checkpoint", "frozen"])
def test_a_checkpoint_is_looked_at_before_any_text(tokenizer, checkpoint):
    settings = FeaturesSettings(tokenizer=tokenizer, checkpoint=checkpoint, max_tokens=512, min_count=1)
    with pytest.raises(UserError, match="max_tokens is 512, expected at most the 24 tokens"):
        fit([], settings)


def test_a_frozen_featurizer_keeps_one_embedding_a_text(checkpoint):
    settings = FeaturesSettings(tokenizer="frozen", checkpoint=checkpoint, max_tokens=24, min_count=1)
    arrays = arrays_of("Pd is cubic .", settings=settings)
    [expected] = FrozenModel(checkpoint, max_tokens=24)(["Pd is cubic ."])
    assert text.specs(settings)["embedding"].row_shape == arrays["embedding"].shape
    np.testing.assert_array_equal(arrays["embedding"], expected)


def test_a_frozen_model_of_any_width_is_counted_by_its_own(checkpoint):
    settings = FeaturesSettings(tokenizer="frozen", checkpoint=checkpoint, max_tokens=24, min_count=1)
    assert text.nominal_meta(settings, {})["width"] == 16


CORPUS_META = fit([material(text="BaTiO3 is cubic Perovskite structured. All Ba-O bonds are two long.")], CORPUS)


@pytest.mark.parametrize(
    ("given", "objection"),
    [
        ("The referee showed two red cards", "it names no formula, and of its 5 words that count 1 are known"),
        ("lorem ipsum dolor", "it names no formula, and of its 3 words that count 0 are known"),
        ("cubic perovskite", ""),
        ("SrRuO3 with a ferromagnetic ground state", ""),  # unknown words, but a formula
    ],
)
def test_a_text_of_other_words_is_objected_to(given, objection):
    assert text.objection(arrays_of(given, CORPUS_META), CORPUS_META) == objection
