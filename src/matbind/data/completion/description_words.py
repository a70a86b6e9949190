"""Lists of words in one order, whatever Python's hash seed: stock wording takes them from sets of strings."""

from __future__ import annotations

from typing import Any, Self

from robocrys.describe.adapter import DescriptionAdapter

CONNECTIVITIES = ("corner", "edge", "face")


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
        """Next nearest neighbours with ranked connectivities; see the stock class."""
        return [
            details._replace(connectivity=RankedWord(details.connectivity, CONNECTIVITIES.index(details.connectivity)))
            for details in super().get_next_nearest_neighbor_details(site_index, group=group)
        ]

    def get_component_groups(self) -> list[Any]:
        """Components with orientations that print as ranked words; see the stock class."""
        groups = super().get_component_groups()
        directions = {str(component.orientation) for group in groups for component in group.components}
        rank_of = {direction: rank for rank, direction in enumerate(sorted(directions))}
        return [
            group._replace(components=[_with_ranked_direction(component, rank_of) for component in group.components])
            for group in groups
        ]


def _with_ranked_direction(component: Any, rank_of: dict[str, int]) -> Any:
    direction = component.orientation
    if direction is None:
        return component
    return component._replace(orientation=RankedDirection(direction, rank_of[str(direction)]))
