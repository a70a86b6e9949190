from __future__ import annotations

import polars as pl

from matbind.modalities.text.perturbations import first_sentence, without_numbers
from tests.factories import DATA, needs_sample


def test_the_first_sentence_is_not_cut_at_a_decimal_point():
    text = "SrTiO3 is (Cubic) Perovskite, e.g. with 2.31 Å bonds, in the Pm-3m space group. All Ti-O are 1.97 Å."
    assert first_sentence(text) == text[: text.index(" All")]
    assert first_sentence("One.") == "One."


def test_numbers_go_and_names_stay():
    text = "Ti4+ is bonded to six O2- atoms to form TiO6 in P6_3/mmc. There are 3 shorter (1.97 Å) and -2.5-3.1 Å ones."
    assert without_numbers(text) == (
        "Ti4+ is bonded to six O2- atoms to form TiO6 in P6_3/mmc. There are shorter ( Å) and Å ones."
    )


@needs_sample
def test_real_descriptions_keep_their_formula_and_lose_their_lengths():
    texts = pl.read_parquet(DATA / "text.parquet", columns=["text"])["text"].head(300)
    for text in texts:
        short, bare = first_sentence(text), without_numbers(text)
        assert text.startswith(short)
        assert short.endswith(".")
        assert short.split()[0] == bare.split()[0] == text.split()[0]
        assert ("Å" in text) == ("Å" in bare)
        assert not any(word.replace(".", "", 1).isdigit() for word in bare.replace("(", "").split())
