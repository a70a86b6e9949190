"""Texts: there, whole, readable, and about their own material."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import polars as pl
from pydantic import Field

from matbind.base.config import StrictModel
from matbind.materials.formula import amounts, atomic_numbers, element_names
from matbind.modalities.checks import Check

BATCH_ROWS = 16384
GARBLED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{fffd}]|Ã|â€|Â[^ a-z]"
"""Control characters, the replacement character, and UTF-8 that was read as Latin-1."""

HEAD = r"^\s*(\S+) (?:is .{1,100}? structured and )?crystallizes"
"""How a generated description begins: with the formula."""

SITE = r"\b([A-Z][a-z]?)\(\d+(?:,\d+)*\)"
"""A site of a generated description, such as Na(1) or S(1,2)."""

FORMULA_WORD = r"\b(?:[A-Z][a-z]?\d*(?:\.\d+)?|\((?:[A-Z][a-z]?\d*)+\)\d*)+"
ALSO_CALLED = {13: "aluminium", 16: "sulphur", 55: "caesium"}


class Settings(StrictModel):
    """What a text must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the texts is bad.
        min_characters: fewest characters.
        max_characters: most characters.
        ends_a_sentence: whether a text must end with a full stop; one that does not was cut off.
        max_elements_missing: elements of the formula that a text need not name.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    min_characters: int = Field(ge=1)
    max_characters: int = Field(ge=1)
    ends_a_sentence: bool
    max_elements_missing: int = Field(ge=0)


class Validator:
    """Checks of descriptions against the crystals they belong to."""

    batch_rows = BATCH_ROWS

    def __init__(self, settings: Settings, *, crystals: pl.DataFrame, records: None) -> None:  # noqa: ARG002
        self.settings = settings
        self._crystals = crystals

    def checks(self) -> tuple[Check, ...]:
        """Return what is expected of the columns of :meth:`summarize`."""
        return checks(self.settings)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Measure a batch; see :func:`summarize`."""
        return summarize(batch, crystals=self._crystals)


def checks(settings: Settings) -> tuple[Check, ...]:
    """What is expected of the columns of :func:`summarize`."""
    ends = (Check("ends_a_sentence", "ends_a_sentence", 1, None, "it does not end with a full stop: it was cut off"),)
    return (
        Check("not_empty", "n_letters", 1, None, "number of letters: {value}"),
        Check("min_length", "n_characters", settings.min_characters, None, "number of characters: {value}"),
        Check("max_length", "n_characters", None, settings.max_characters, "number of characters: {value}"),
        Check(
            "readable",
            "n_garbled",
            None,
            0,
            "control characters, or characters read in a wrong encoding: {value}",
        ),
        *(ends if settings.ends_a_sentence else ()),
        Check(
            "names_its_elements",
            "n_elements_missing",
            None,
            settings.max_elements_missing,
            "elements of the formula that it does not name: {value}",
            optional=True,
        ),
        Check(
            "names_no_others",
            "n_elements_foreign",
            None,
            0,
            "elements with sites that the formula lacks: {value}",
            optional=True,
        ),
        Check("its_formula", "other_formula", None, 0, "it begins with the formula of another material", optional=True),
    )


def summarize(batch: pl.DataFrame, crystals: pl.DataFrame) -> pl.DataFrame:
    """One summary row a text.

    Args:
        batch: rows of `text.parquet` with `row`.
        crystals: rows of `structures.parquet` whose structure is sound.

    Returns:
        Columns row, material_id and the measures that :func:`checks` name; null where a measure has no meaning.
    """
    text = pl.col("text").fill_null("")
    joined = batch.select("row", "material_id", text).join(
        crystals.select("material_id", "formula"), on="material_id", how="left", maintain_order="left"
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
    rows = [
        _about(formula, head, sites, words)
        for formula, head, sites, words in measured.select("formula", "head", "sites", "text").iter_rows()
    ]
    names = ("n_elements_missing", "n_elements_foreign", "other_formula")
    about = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
    return measured.drop("formula", "text", "head", "sites").hstack(about)


def _about(
    formula: str | None, head: str | None, sites: list[str], text: str
) -> tuple[float | None, float | None, float | None]:
    """Elements of the formula that the text lacks, sites of other elements, whether it begins with another formula."""
    own = _amounts(formula)
    if not own:
        return None, None, None
    numbers = atomic_numbers()
    labels = {numbers[symbol] for site in sites if (symbol := site.split("(")[0]) in numbers}
    begins = _amounts(head)
    missing = set(own) - labels - set(begins)
    if missing:
        missing -= {number for word in re.findall(FORMULA_WORD, text) for number in _amounts(word)}
        lower = text.lower()
        missing = {number for number in missing if not _named(number, lower)}
    other = float(begins != own and _shares(begins) != _shares(own)) if begins else None
    return float(len(missing)), float(len(labels - set(own))), other


@cache
def _amounts(formula: str | None) -> dict[int, float]:
    return amounts(formula)


def _shares(parts: dict[int, float]) -> dict[int, float]:
    total = sum(parts.values())
    return {number: round(amount / total, 3) for number, amount in parts.items()}


def _named(number: int, lower: str) -> bool:
    names: tuple[Any, ...] = (element_names()[number], ALSO_CALLED.get(number))
    return any(name is not None and name in lower for name in names)
