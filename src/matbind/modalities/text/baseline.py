"""The linear baseline's view of a text: TF-IDF of its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_WORDS = 6000  # bounds the normal equations, whatever the size of the corpus
MIN_TEXTS_OF_WORD = 3

# "TiO6" stays a word and gives Ti and O6 besides; "2.31", "Fm-3m" and "corner-sharing" are words.
_WORD = re.compile(r"\d+\.\d+|[A-Za-z0-9][\w/+-]*")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*){2,}")
_ELEMENT = re.compile(r"[A-Z][a-z]?\d*")


def description(value: str, structure: Any) -> str:  # noqa: ARG001  the text is enough
    """Return the text."""
    return value


def inputs(descriptions: Sequence[str], *, train: npt.NDArray[np.bool_]) -> Any:
    """Return the TF-IDF of the words of the training texts, a sparse matrix of shape (n_texts, n_words)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    corpus = [text for text, learn in zip(descriptions, train, strict=True) if learn]
    rarest = min(MIN_TEXTS_OF_WORD, len(corpus))
    weights = TfidfVectorizer(analyzer=words, min_df=rarest, max_features=MAX_WORDS, sublinear_tf=True)
    weights.fit(corpus)
    return weights.transform(descriptions)


def words(text: str) -> list[str]:
    """Split a description into words; a formula is a word and each of its elements with its count another.

    >>> words("TiO6 octahedra, 2.31 Å")
    ['TiO6', 'Ti', 'O6', 'octahedra', '2.31']
    """
    split: list[str] = []
    for word in _WORD.findall(text):
        split.append(word)
        if _FORMULA.fullmatch(word):
            split += _ELEMENT.findall(word)
    return split
