"""Text: a Robocrystallographer description to token ids, lengths kept as numbers.

Three ways, chosen by `tokenizer`:

- `corpus` (preset small): words of the training corpus. Formulas are split into element and count ("BaTiO3" -> Ba Ti
  O3, "Ca(NiO2)4" -> Ca Ni4 O8), so an unseen formula is made of seen tokens, and a length or an angle becomes one token
  with its value beside it, so 2.31 and 2.32 angstrom are close and a strained crystal has a strained description. The
  opening formula is kept as atomic fractions too.
- `checkpoint`: the tokenizer of any transformers checkpoint (MatBERT in the preset paper), which is trained further.
- `frozen`: no tokens but the sentence embedding of any transformers checkpoint, computed once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.formula import ATOMIC_NUMBERS, ELEMENTS, FORMULA, terms
from matbind.modalities.material import Material
from matbind.modalities.store import ArraySpec
from matbind.modalities.text.checkpoint import FrozenModel, check, load_model, load_tokenizer, width_of
from matbind.modalities.text.plain import SYMBOLS_AND_WORDS, is_space_group, plain
from matbind.modalities.text.records import NAME
from matbind.modalities.text.settings import FeaturesSettings

PAD, UNKNOWN, LENGTH, ANGLE = 0, 1, 2, 3
SPECIAL_TOKENS = ("[pad]", "[unknown]", "[length]", "[angle]")
BERT_VOCABULARY_SIZE = 30_522  # of BERT-base and of MatBERT

# Words of grammar: they tell no two crystals apart, and without them a description is half as long.
_GRAMMAR = frozenset(
    "a all an and are atom atoms bond bonded both crystallizes equivalent first form from group in inequivalent is "  # noqa: SIM905
    "length lengths mixture of oriented second site sites space that the there third to with".split()
)
_CELL_EDGE = (  # of the conventional cell, as people write it; the corpus has lengths of bonds only
    r"(?:(?:lattice|cell) (?:constants?|parameters?|edges?)(?: of| is)?[ :=]*(?:[abc] ?= ?)?|\b[abc] ?= ?)\d+\.\d+ Å"
)
_TOKEN = re.compile(
    rf"(?P<cell_edge>{_CELL_EDGE})|"
    r"(?P<space_group>\S+) space group|(?P<coordination>\d+-coordinate)"
    r"|(?P<length>\d+\.\d+)(?:-(?P<length_to>\d+\.\d+))? Å|(?P<angle>\d+(?:\.\d+)?)(?:-(?P<angle_to>\d+(?:\.\d+)?))?°"
    r"|np\.int64\((?P<direction>-?\d+)\)"  # how NumPy 2 made the generator write a direction
    r"|(?P<label>[A-Z][a-z]?)\(\d+\)(?P<charge>\d+(?:\.\d+)?[+-])?"
    rf"|(?P<ion>[A-Z][a-z]?)(?P<ion_charge>\d+(?:\.\d+)?[+-])|(?!In the\b)(?P<formula>{FORMULA})(?![a-z])"
    r"|(?P<word>[A-Za-z][a-z]+|\d+(?:\.\d+)?[+-]?|[A-Z][\w/-]+)"
)
FEWEST_KNOWN = 0.5  # of the words of a text without a formula
_SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z])")


def specs(settings: FeaturesSettings) -> dict[str, ArraySpec]:
    """Return the arrays kept of a material's text."""
    if settings.tokenizer == "frozen":
        return {"embedding": ArraySpec("float32", (width_of(settings.checkpoint),))}
    return {
        "token": ArraySpec("int32", ragged=True),
        "value": ArraySpec("float32", ragged=True),  # angstrom or degree beside LENGTH and ANGLE, else 0
        "sentence": ArraySpec("int16", ragged=True),  # which sentence of the text, from 0
        "composition": ArraySpec("float32", (len(ELEMENTS),)),  # atomic fractions of its formula
    }


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a description: its word, and its value if it is a length (angstrom) or an angle (degree), else 0."""

    word: str
    value: float = 0.0


def sentences(text: str) -> list[str]:
    """Split a description where a full stop is followed by a capital."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def words(sentence: str) -> list[Token]:
    """Split one sentence into tokens; see the module's head for the rules."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(sentence):
        groups = match.groupdict()
        if groups["cell_edge"]:
            continue
        if groups["length"]:
            tokens += [Token(SPECIAL_TOKENS[LENGTH], float(d)) for d in (groups["length"], groups["length_to"]) if d]
        elif groups["angle"]:
            tokens += [Token(SPECIAL_TOKENS[ANGLE], float(a)) for a in (groups["angle"], groups["angle_to"]) if a]
        elif match.lastgroup in {"space_group", "coordination", "direction"}:
            tokens.append(Token(groups[match.lastgroup]))
        elif groups["label"] or groups["ion"]:
            tokens.append(Token(groups["label"] or groups["ion"]))
            charge = groups["charge"] or groups["ion_charge"]
            tokens += [Token(charge)] if charge else []
        elif groups["formula"]:
            tokens += [Token(word) for word in amount_words(groups["formula"])]
        elif groups["word"].lower() not in _GRAMMAR:
            tokens.append(Token(groups["word"]))
    return tokens


def tokens(text: str) -> list[tuple[int, Token]]:
    """Split a description into tokens, each with the number of its sentence."""
    return [(number, token) for number, sentence in enumerate(sentences(text)) for token in words(sentence)]


def formula_of(text: str) -> str | None:
    """Return the formula that a description is about: the one that opens it, else the first in it; None if it has none.

    A lone symbol counts only if no formula of several elements stands anywhere.
    """
    opening = re.match(rf"({FORMULA})(?: |$)(?:is |crystallizes |$)?", text)
    if opening and _is_formula(opening[1]) and (opening[1] not in SYMBOLS_AND_WORDS or opening[0] != f"{opening[1]} "):
        return opening[1]
    candidates = [match["formula"] for match in _TOKEN.finditer(text) if match["formula"]]
    candidates = [formula for formula in candidates if _is_formula(formula) and not is_space_group(formula)]
    several = [formula for formula in candidates if len(dict(terms(formula))) > 1]
    return next(iter(several or [formula for formula in candidates if formula not in SYMBOLS_AND_WORDS]), None)


def _is_formula(word: str) -> bool:
    return all(element in ATOMIC_NUMBERS for element, _ in terms(word))


def composition_of(text: str) -> npt.NDArray[np.float32]:
    """Compute the atomic fractions of the formula that a description is about, hydrogen first; zeros where it has none.

    How much of what is in the crystal is the first thing to know, and a formula never seen before is but a new mixture.
    """
    fractions = np.zeros(len(ELEMENTS), dtype=np.float32)
    for element, amount in terms(formula_of(text) or ""):
        fractions[ATOMIC_NUMBERS[element] - 1] += amount
    return fractions / max(float(fractions.sum()), 1e-9)


def amount_words(formula: str) -> list[str]:
    """Write a formula as one word an element: ``Ca(NiO2)4`` -> Ca, Ni4, O8."""
    return [element if amount == 1 else f"{element}{amount:g}" for element, amount in terms(formula)]


def fit(materials: Iterable[Material], settings: FeaturesSettings) -> dict[str, Any]:
    """Learn the vocabulary of the training corpus, ids by rank; a word of the test split must stay unknown."""
    if settings.tokenizer != "corpus":
        check(settings.checkpoint, max_tokens=settings.max_tokens)
        width = width_of(settings.checkpoint)
        return {"tokenizer": settings.tokenizer, "checkpoint": str(settings.checkpoint), "width": width}
    counts: Counter[str] = Counter()
    for material in materials:
        counts.update(token.word for _, token in tokens(plain(material.values.get(NAME, ""))))
    frequent = (w for w, n in counts.items() if n >= settings.min_count and w not in SPECIAL_TOKENS)
    kept = sorted(frequent, key=lambda w: (-counts[w], w))
    return {"tokenizer": "corpus", "vocabulary": [*SPECIAL_TOKENS, *kept], "max_tokens": settings.max_tokens}


def nominal_meta(settings: FeaturesSettings, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an encoder is built from; the vocabulary is of BERT's size where that of the corpus is not known."""
    if settings.tokenizer == "frozen":
        return {"tokenizer": "frozen", "width": width_of(settings.checkpoint)}
    vocabulary = known.get("vocabulary") if settings.tokenizer == "corpus" else None
    return settings.model_dump() | {"tokenizer": "corpus", "vocabulary": vocabulary or range(BERT_VOCABULARY_SIZE)}


def objection(row: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> str:  # noqa: ARG001
    """Say why the arrays of one material are of no description; empty if nothing speaks against it.

    Words that are not of the vocabulary are as good as none: the encoder sees the same token for all of them.
    """
    if "token" not in row or row["composition"].any():
        return ""
    known, n_words = int(np.count_nonzero(row["token"] != UNKNOWN)), len(row["token"])
    if known < FEWEST_KNOWN * n_words:
        return f"it names no formula, and of its {n_words} words that count {known} are known"
    return ""


class Featurizer:
    """Makes arrays of texts, with the tokenizer or model loaded once."""

    def __init__(self, settings: FeaturesSettings, meta: dict[str, Any]) -> None:
        self.settings = settings
        vocabulary = meta.get("vocabulary", ())
        self._ids = {word: i for i, word in enumerate(vocabulary)}
        self._ids_in_small_letters = {word.lower(): i for i, word in reversed(list(enumerate(vocabulary)))}
        self._model: Any = None

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of one material, None where it has no text.

        Raises:
            ValueError: if the text is empty or holds no token.
        """
        written = material.values.get(NAME)
        if written is None:
            return None
        text = plain(written)
        if not text:
            raise ValueError("the text is empty")
        if self.settings.tokenizer == "frozen":
            return {"embedding": self._embedding(text)}
        if self.settings.tokenizer == "checkpoint":
            return self._pieces(text)
        kept = tokens(text)[: self.settings.max_tokens]
        rows = [(self._id(token.word), token.value, number) for number, token in kept]
        if not rows:
            raise ValueError("the text holds no word that describes a crystal")
        token, value, sentence = (np.array(column) for column in zip(*rows, strict=True))
        composition = composition_of(text)
        return {"token": token, "value": value, "sentence": sentence, "composition": composition}

    def _id(self, word: str) -> int:
        known = self._ids.get(word)
        return self._ids_in_small_letters.get(word.lower(), UNKNOWN) if known is None else known

    def _pieces(self, text: str) -> dict[str, npt.NDArray[Any]]:
        if self._model is None:
            self._model = load_tokenizer(self.settings.checkpoint)
        ids = self._model(text, truncation=True, max_length=self.settings.max_tokens)["input_ids"]
        nothing = np.zeros(len(ids))
        return {"token": np.array(ids), "value": nothing, "sentence": nothing, "composition": composition_of(text)}

    def _embedding(self, text: str) -> npt.NDArray[np.float32]:
        if self._model is None:
            self._model = FrozenModel(self.settings.checkpoint, max_tokens=self.settings.max_tokens)
        return np.asarray(self._model([text])[0])


def save_checkpoint(checkpoint: str, out: Path) -> None:
    """Copy the language model of an encoder: tokenizer, configuration and weights, without pickle."""
    load_tokenizer(Path(checkpoint)).save_pretrained(out)
    load_model(Path(checkpoint)).save_pretrained(out)
