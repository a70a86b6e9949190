"""Texts: there, whole, readable, and about their material."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, ClassVar

import polars as pl

from matbind.materials.formula import ATOMIC_NUMBERS, FORMULA, amounts, element_names
from matbind.modalities.text.settings import ValidationSettings

GARBLED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{fffd}]|Ã|â€|Â[^ a-z]"
"""Control characters, the replacement character, and UTF-8 that was read as Latin-1."""

HEAD = r"^\s*(\S+) (?:is .{1,100}? structured and )?crystallizes"
"""How a generated description begins: with the formula."""

SITE = r"\b([A-Z][a-z]?)\(\d+(?:,\d+)*\)"
"""A site of a generated description, such as Na(1) or S(1,2)."""

ALSO_CALLED = {13: "aluminium", 16: "sulphur", 55: "caesium"}


class Validator:
    """Checks of descriptions against the crystals they belong to."""

    batch_rows = 16384
    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, settings: ValidationSettings, *, crystals: pl.DataFrame, records: None) -> None:  # noqa: ARG002
        self.settings = settings
        self._formulas = crystals.select("material_id", "formula")

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure every text; a measure is null where it has no meaning."""
        text = pl.col("text").fill_null("")
        joined = batch.select("row", "material_id", text).join(
            self._formulas, on="material_id", how="left", maintain_order="left"
        )
        measured = joined.select(
            "row",
            "material_id",
            "formula",
            "text",
            text.hash().alias("text_hash"),
            text.str.len_chars().cast(pl.Float64).alias("n_characters"),
            text.str.count_matches(r"\p{L}").cast(pl.Float64).alias("n_letters"),
            text.str.count_matches(GARBLED).cast(pl.Float64).alias("n_garbled"),
            text.str.contains(r"[.!?][\s)\x22']*$").cast(pl.Float64).alias("ends_a_sentence"),
            text.str.extract(HEAD).alias("head"),
            text.str.extract_all(SITE).list.unique().alias("sites"),
        )
        rows = [_compared(*row) for row in measured.select("formula", "head", "sites", "text").iter_rows()]
        names = ("n_elements_missing", "n_elements_foreign", "other_formula")
        compared = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
        return measured.drop("formula", "text", "head", "sites").hstack(compared)


def _compared(
    formula: str | None, head: str | None, sites: list[str], text: str
) -> tuple[float | None, float | None, float | None]:
    """Compare a text with the formula of its material.

    Returns:
        Elements that the text lacks, elements with sites that the formula lacks, and whether it begins with another
        formula, the head; None where there is nothing to compare.
    """
    elements = _amounts(formula)
    if not elements:
        return None, None, None
    labels = {ATOMIC_NUMBERS[symbol] for site in sites if (symbol := site.split("(")[0]) in ATOMIC_NUMBERS}
    opening = _amounts(head)
    missing = set(elements) - labels - set(opening)
    if missing:
        missing -= {number for word in re.findall(rf"\b{FORMULA}", text) for number in _amounts(word)}
        lower = text.lower()
        missing = {number for number in missing if not _named(number, lower)}
    other = float(opening != elements and _shares(opening) != _shares(elements)) if opening else None
    return float(len(missing)), float(len(labels - set(elements))), other


@cache
def _amounts(formula: str | None) -> dict[int, float]:
    return amounts(formula)


def _shares(parts: dict[int, float]) -> dict[int, float]:
    total = sum(parts.values())
    return {number: round(amount / total, 3) for number, amount in parts.items()}


def _named(number: int, lower: str) -> bool:
    return any(name is not None and name in lower for name in (element_names()[number], ALSO_CALLED.get(number)))
