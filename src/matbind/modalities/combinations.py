"""The combinations of modalities a model is trained on: hub, spokes, aligned and emergent pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

from matbind.modalities.table import HUB_ORDER, modality_names

Kind = Literal["aligned", "emergent", "view"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Combination:
    """The modalities one model is trained on, and which of them every other is aligned with.

    Raises:
        ValueError: if a name is unknown, repeated or out of order, none is given, or the hub is not one of them.
    """

    modalities: tuple[str, ...]  # names in the order of the table
    hub: str  # the modality that is in every training pair; the others are spokes

    def __post_init__(self) -> None:
        ordered = _in_order(self.modalities)
        if self.modalities != ordered:
            raise ValueError(f"modalities of a combination are written {'+'.join(ordered)}, not {self.name}")
        if self.hub not in self.modalities:
            raise ValueError(f"hub {self.hub!r} is not one of {self.name}")

    @property
    def name(self) -> str:
        """Its name in files, runs and tables, such as ``crystal+dos+text``."""
        return "+".join(self.modalities)

    @property
    def spokes(self) -> tuple[str, ...]:
        """Every modality but the hub."""
        return tuple(name for name in self.modalities if name != self.hub)

    @property
    def is_single(self) -> bool:
        """Whether it holds one modality, trained by contrasting two augmented views of the same material."""
        return len(self.modalities) == 1

    def kind(self, query: str, key: str) -> Kind:
        """Return how the model came to relate two modalities.

        Args:
            query: modality of the queries.
            key: modality of the keys.

        Returns:
            ``view`` for two views of one modality, ``aligned`` for a pair seen in training (it includes the hub),
            ``emergent`` for two spokes, which meet only through the hub.

        Raises:
            ValueError: if a modality is not in the combination.

        Source: Mirza et al. 2025, Section 3 (hub and spoke).
        """
        for name in (query, key):
            if name not in self.modalities:
                raise ValueError(f"modality {name!r} is not in the combination {self.name}")
        if query == key:
            return "view"
        return "aligned" if self.hub in (query, key) else "emergent"

    def pairs(self) -> tuple[Pair, ...]:
        """Return all ordered (query, key) pairs that are measured; for a single, its two views: ``((m, m),)``."""
        if self.is_single:
            return ((self.hub, self.hub),)
        return tuple(permutations(self.modalities, 2))

    def aligned_pairs(self) -> tuple[Pair, ...]:
        """Return the ordered pairs that include the hub."""
        return tuple(pair for pair in self.pairs() if self.kind(*pair) == "aligned")

    def emergent_pairs(self) -> tuple[Pair, ...]:
        """Return the ordered pairs of two spokes, never seen together in training."""
        return tuple(pair for pair in self.pairs() if self.kind(*pair) == "emergent")


def all_combinations(
    hub_order: Sequence[str] | None = None, modalities: Sequence[str] | None = None
) -> tuple[Combination, ...]:
    """Return every non-empty subset of the modalities, small ones first: 15 of four modalities.

    Args:
        hub_order: the hub of a subset is the first of these that is in it; that of the table if not given.
        modalities: names to combine; the table if not given.

    Raises:
        ValueError: if a name is unknown or repeated, or there is none.
    """
    names = _in_order(modality_names() if modalities is None else modalities)
    return tuple(
        Combination(subset, _hub(subset, hub_order))
        for size in range(1, len(names) + 1)
        for subset in combinations(names, size)
    )


def parse_combination(text: str, hub_order: Sequence[str] | None = None) -> Combination:
    """Return the combination of a name such as ``text+crystal``; the order of the names does not matter.

    Args:
        text: modality names joined by ``+``.
        hub_order: as in `all_combinations`.

    Raises:
        ValueError: if a name is unknown or repeated, or there is none.
    """
    subset = _in_order([part.strip() for part in text.split("+")] if text.strip() else [])
    return Combination(subset, _hub(subset, hub_order))


def pair_name(query: str, key: str) -> str:
    """Return what a pair is called in tables and JSON: ``text->dos`` asks with a text for a DOS."""
    return f"{query}->{key}"


def metric_name(query: str, key: str) -> str:
    """Return what a pair is called inside a metric's name, where MLflow allows no ``>``: ``text_to_dos``."""
    return f"{query}_to_{key}"


def _hub(subset: Sequence[str], hub_order: Sequence[str] | None) -> str:
    order = HUB_ORDER if hub_order is None else _known(hub_order)
    # A modality that the order does not mention is a hub only where nothing mentioned is there.
    return next(name for name in (*order, *modality_names()) if name in subset)


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"a combination needs at least one modality; allowed: {', '.join(modality_names())}")
    return tuple(sorted(_known(names), key=modality_names().index))


def _known(names: Sequence[str]) -> Sequence[str]:
    for position, name in enumerate(names):
        if name not in modality_names():
            raise ValueError(f"unknown modality {name!r}; allowed: {', '.join(modality_names())}")
        if name in names[:position]:
            raise ValueError(f"modality {name!r} is named twice; allowed, once each: {', '.join(modality_names())}")
    return names
