"""The site analyzer with geometries, bonds and next nearest neighbours worked out once a site."""

from __future__ import annotations

from typing import Any

import numpy as np
from robocrys.condense.site import SiteAnalyzer

Image = tuple[int, int, int]

HOME_CELL: Image = (0, 0, 0)


class RememberingSiteAnalyzer(SiteAnalyzer):  # type: ignore[misc]
    """Same summaries as the stock class, which finds the next nearest neighbours of a site up to four times."""

    def __init__(self, bonded_structure: Any, **settings: Any) -> None:
        self._geometries: dict[int, dict[str, Any]] = {}
        self._next_nearest: dict[int, list[dict[str, Any]]] = {}
        # While sites are being compared each stands for itself, so what is remembered names the site, not its class.
        self.equivalent_sites = list(range(len(bonded_structure.structure)))
        super().__init__(RememberedBonds(bonded_structure), **settings)

    def get_site_geometry(self, site_index: int) -> dict[str, Any]:
        """Type and likeness of a site's geometry; see the stock class."""
        if site_index not in self._geometries:
            self._geometries[site_index] = super().get_site_geometry(site_index)
        return self._geometries[site_index]

    def get_next_nearest_neighbors(
        self,
        site_index: int,
        inc_inequivalent_site_index: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> list[dict[str, Any]]:
        """Next nearest neighbours, always with their inequivalent site; see the stock class."""
        if site_index not in self._next_nearest:
            self._next_nearest[site_index] = super().get_next_nearest_neighbors(site_index)
        return [
            neighbor | {"inequiv_index": self.equivalent_sites[neighbor["inequiv_index"]]}
            for neighbor in self._next_nearest[site_index]
        ]


class RememberedBonds:
    """The bonds of a structure graph; those of a periodic image are the shifted bonds of the site in the home cell.

    The analyzer reads index, image, distance and species of a bonded site; the coordinates of the site of a shifted
    bond stay those in the home cell.
    """

    def __init__(self, graph: Any) -> None:
        self.structure = graph.structure
        self._graph = graph
        self._home: dict[int, list[Any]] = {}
        self._known: dict[tuple[int, Image], list[Any]] = {}

    def get_connected_sites(self, n: int, jimage: Image = HOME_CELL) -> list[Any]:
        """Bonded sites, nearest first, equals in the order of the stock class."""
        key = (n, jimage)
        if key not in self._known:
            shifted = {
                bond._replace(jimage=tuple(int(a) + int(b) for a, b in zip(bond.jimage, jimage, strict=True)))
                for bond in self._bonds(n)
            }
            self._known[key] = sorted(shifted, key=lambda bond: bond.dist)
        return self._known[key]

    def _bonds(self, n: int) -> list[Any]:
        """Bonds from the home cell in the order of the graph's edges: the stock order of equals comes from a set."""
        if n not in self._home:
            edges = self._graph.graph
            ends = [(to, tuple(data["to_jimage"])) for _, to, data in edges.out_edges(n, data=True)]
            ends += [
                (to, tuple(np.negative(data["to_jimage"]).tolist())) for to, _, data in edges.in_edges(n, data=True)
            ]
            bonds = {(bond.index, bond.jimage): bond for bond in self._graph.get_connected_sites(n)}
            self._home[n] = [bonds[end] for end in dict.fromkeys(ends)]
        return self._home[n]
