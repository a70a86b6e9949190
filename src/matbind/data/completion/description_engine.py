"""Robocrystallographer's own condenser and describer with the repeated work taken out: the same text, much sooner.

Nothing of theirs is replaced for good. While a structure is described, a few names in their modules stand for classes
of this package, which remember exact answers; afterwards the names stand for their own again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Self

import pymatgen.core.local_env
import robocrys.condense.component
import robocrys.condense.condenser
import robocrys.condense.fingerprint
import robocrys.describe.describer
from pymatgen.core.structure_matcher import StructureMatcher
from robocrys.condense.condenser import StructureCondenser
from robocrys.describe.adapter import DescriptionAdapter
from robocrys.describe.describer import StructureDescriber

from matbind.data.completion.description_minerals import PreparedMineralMatcher
from matbind.data.completion.description_neighbors import (
    CellFacesVoronoiNN,
    FingerprintStatistics,
    Memory,
    RememberingCrystalNN,
    RememberingFingerprint,
    RememberingSiteAnalyzer,
)

CONNECTIVITIES = ("corner", "edge", "face")
REDUCED_STRUCTURES_KEPT = 300  # of one material; pymatgen's own number, for the life of the process

_substitution = threading.RLock()


class Engine:
    """Describes one structure after another; holds the databases, read once, and nothing of the structure before."""

    def __init__(self) -> None:
        self._memory = Memory()
        neighbors = RememberingCrystalNN(self._memory)
        self._fingerprint = RememberingFingerprint(neighbors, self._memory)
        self._minerals = PreparedMineralMatcher()
        self._condenser = StructureCondenser(near_neighbors=neighbors, mineral_matcher=self._minerals)
        self._describer = StructureDescriber()

    def describe(self, structure: Any) -> str:
        """Guess oxidation states where possible, condense, describe.

        Args:
            structure: a `pymatgen.core.Structure`, which gets the oxidation states.
        """
        with _substitution, _substituted(self._substitutes()):
            try:
                structure.add_oxidation_state_by_guess(max_sites=-1)
                return str(self._describer.describe(self._condenser.condense_structure(structure)))
            finally:
                self._memory.clear()
                self._minerals.clear()

    def _substitutes(self) -> list[tuple[Any, str, Any]]:
        # pymatgen keeps reduced structures of all materials and takes one that is nearly equal for equal; with a memory
        # of one material alone, its text does not depend on what was described before.
        reduce = lru_cache(REDUCED_STRUCTURES_KEPT)(StructureMatcher._get_reduced_istructure.__wrapped__)  # noqa: SLF001
        return [
            (StructureMatcher, "_get_reduced_istructure", staticmethod(reduce)),
            (pymatgen.core.local_env, "VoronoiNN", CellFacesVoronoiNN),
            (robocrys.condense.fingerprint, "SiteStatsFingerprint", FingerprintStatistics(self._fingerprint)),
            (robocrys.condense.condenser, "SiteAnalyzer", RememberingSiteAnalyzer),
            (robocrys.condense.condenser, "MoleculeNamer", NoMoleculeNames),
            (robocrys.condense.component, "deepcopy", _copied_components),
            (robocrys.describe.describer, "DescriptionAdapter", OrderedDescriptionAdapter),
        ]


class NoMoleculeNames:
    """Leaves molecules without names, as the stock class does without Open Babel; never asks PubChem.

    The stock class reads its file of names for every structure, and with Open Babel it fails on molecules it knows.
    """

    def get_name_from_molecule_graph(self, _molecule_graph: Any) -> None:
        """Return no name."""


class RankedWord(str):
    """A string whose hash is its rank: a set of ranked words is walked in the order of their ranks."""

    __slots__ = ("_rank",)

    _rank: int

    def __new__(cls, word: str, rank: int) -> Self:
        """Give a word its rank, from 0; ranks have to differ within a set."""
        self = super().__new__(cls, word)
        self._rank = rank
        return self

    def __hash__(self) -> int:
        return self._rank


class RankedDirection(tuple[int, ...]):  # noqa: SLOT001 - a tuple has no room for a slot
    """A direction that prints as a ranked word."""

    rank: int

    def __new__(cls, direction: tuple[int, ...], rank: int) -> Self:
        """Give a direction the rank of its word."""
        self = super().__new__(cls, direction)
        self.rank = rank
        return self

    def __str__(self) -> str:
        return RankedWord(super().__str__(), self.rank)


class OrderedDescriptionAdapter(DescriptionAdapter):  # type: ignore[misc]
    """Hands the describer words that come out of a set in alphabetical order."""

    def get_next_nearest_neighbor_details(self, site_index: int, group: bool = False) -> list[Any]:  # noqa: FBT001, FBT002
        """Return next nearest neighbours with ranked connectivities; see the stock class."""
        return [
            details._replace(connectivity=RankedWord(details.connectivity, CONNECTIVITIES.index(details.connectivity)))
            for details in super().get_next_nearest_neighbor_details(site_index, group=group)
        ]

    def get_component_groups(self) -> list[Any]:
        """Return components with orientations that print as ranked words; see the stock class."""
        groups = super().get_component_groups()
        directions = {str(component.orientation) for group in groups for component in group.components}
        rank_of = {direction: rank for rank, direction in enumerate(sorted(directions))}

        def ranked(component: Any) -> Any:
            direction = component.orientation
            ranked_direction = None if direction is None else RankedDirection(direction, rank_of[str(direction)])
            return component._replace(orientation=ranked_direction)

        return [group._replace(components=[*map(ranked, group.components)]) for group in groups]


def _copied_components(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copy as deep as it is written to: the callers add keys to each component and change nothing inside."""
    return [dict(component) for component in components]


@contextmanager
def _substituted(substitutes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    stock = [(owner, name, vars(owner)[name]) for owner, name, _ in substitutes]
    try:
        for owner, name, substitute in substitutes:
            setattr(owner, name, substitute)
        yield
    finally:
        for owner, name, original in stock:
            setattr(owner, name, original)
