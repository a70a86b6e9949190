from __future__ import annotations

import numpy as np

from matbind.modalities.text.baseline import inputs, words


def test_words_keep_formulas_numbers_and_hyphens():
    assert words("BaTiO3 has corner-sharing TiO6 octahedra (2.31 Å), Fm-3m.") == [
        "BaTiO3",
        "Ba",
        "Ti",
        "O3",
        "has",
        "corner-sharing",
        "TiO6",
        "Ti",
        "O6",
        "octahedra",
        "2.31",
        "Fm-3m",
    ]


def test_words_of_the_test_split_stay_unknown():
    texts = ["red blue", "red green", "red blue", "violet red"]
    train = np.array([True, True, True, False])
    assert inputs(texts, train=train).shape == (4, 1)  # "red" alone is in three training texts
