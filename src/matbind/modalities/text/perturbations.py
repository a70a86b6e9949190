"""Descriptions that say less: only their first sentence, or no numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from matbind.modalities.perturbation import ValuePerturbation
from matbind.modalities.text.features import sentences

# Lengths, angles and counts on their own; the numbers inside TiO6, P6_3/mmc or 12-coordinate are names.
_NUMBER = re.compile(r"(?<![\w/.-])[-+]?\d+(?:\.\d+)?(?:[-\u2013]\d+(?:\.\d+)?)?(?![\w/-]|\.\d)")


def first_sentence(text: str) -> str:
    """Return the first sentence of a description, which names the material and its structure type."""
    return next(iter(sentences(text)), "")


def without_numbers(text: str) -> str:
    """Return a description without its lengths, angles and other numbers; formulas and space groups stay."""
    return re.sub(r"\s{2,}", " ", _NUMBER.sub("", text)).replace(" .", ".").replace(" ,", ",").strip()


PERTURBATIONS: Mapping[str, ValuePerturbation] = MappingProxyType(
    {"first_sentence": ValuePerturbation(first_sentence), "without_numbers": ValuePerturbation(without_numbers)}
)
"""What can be left out of a text, by name."""
