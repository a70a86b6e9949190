"""Neighbours and site fingerprints for the describer, each computed once a structure; the numbers of the stock classes.

The condenser, the mineral matcher and the site analyzer ask for the neighbours of the same sites, and for order
parameters of the same neighbours. Results are remembered under the exact cell, coordinates and species, so a second
question about the very same input gets the very same floats.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from matminer.featurizers.site import CrystalNNFingerprint
from matminer.featurizers.structure import SiteStatsFingerprint
from pymatgen.core.local_env import CrystalNN, LocalStructOrderParams, VoronoiNN
from robocrys.condense.site import SiteAnalyzer

StructureKey = tuple[bytes, bytes, tuple[str, ...]]
Image = tuple[int, int, int]

ORIGIN_CELL: Image = (0, 0, 0)

SOUTH_POLE_TYPES = frozenset(
    ("tri_bipyr", "sq_bipyr", "pent_bipyr", "hex_bipyr", "oct_max", "sq_plan_max", "hex_plan_max", "see_saw_rect")
)


class CellFacesVoronoiNN(VoronoiNN):
    """Read only the faces of the cell in question instead of walking over all faces of the tessellation."""

    def _extract_cell_info(
        self,
        site_idx: int,
        sites: list[Any],
        targets: Any,
        voro: Any,
        compute_adj_neighbors: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        ridges = (voro.ridge_points == site_idx).any(axis=1).nonzero()[0]
        vertices = voro.ridge_vertices
        faces = {(int(a), int(b)): vertices[i] for i, (a, b) in zip(ridges, voro.ridge_points[ridges], strict=True)}
        # CrystalNN throws away which faces touch, so it is not asked for.
        cell_faces = SimpleNamespace(vertices=voro.vertices, ridge_dict=faces)
        return super()._extract_cell_info(site_idx, sites, targets, cell_faces)  # type: ignore[no-untyped-call]


class Memory(dict[Any, Any]):
    """Answers about the structures of one text, by question and exact content; emptied after the text."""

    def key_of(self, structure: Any) -> StructureKey:
        """Return the same key for structures that are bit for bit the same; it is worked out once for each object."""
        if id(structure) not in self:
            species = tuple(site.species_string for site in structure)
            key = (structure.lattice.matrix.tobytes(), structure.frac_coords.tobytes(), species)
            self[id(structure)] = (structure, key)  # holding it keeps the id from being given to another
        key_of_object: StructureKey = self[id(structure)][1]
        return key_of_object


class RememberingCrystalNN(CrystalNN):
    """CrystalNN with its default settings that answers a repeated question from memory."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memory = memory

    def get_nn_data(self, structure: Any, n: int, length: int | None = None) -> Any:
        """Return weights and neighbours for every coordination number of site `n`; see the stock class."""
        key = ("neighbors", self._memory.key_of(structure), n)
        if key not in self._memory:
            self._memory[key] = super().get_nn_data(structure, n, length)
        return self._memory[key]


class _JointOrderParameters:
    """Several order parameters in one walk over the neighbours, which is where the time goes."""

    def __init__(self, parameters: list[Any]) -> None:
        types = [parameter.get_type(0) for parameter in parameters]
        self._joint: Any = LocalStructOrderParams(
            types, parameters=[parameter.get_parameters(0) for parameter in parameters]
        )
        self._sites: list[Any] = []
        self._values: list[float | None] = []

    def values(self, sites: list[Any]) -> list[float | None]:
        """Return one value for each parameter; `sites` are the centre and its neighbours."""
        if len(sites) != len(self._sites) or any(a is not b for a, b in zip(sites, self._sites, strict=True)):
            self._values = self._joint.get_order_parameters(sites, 0, indices_neighs=list(range(1, len(sites))))
            self._sites = sites
        return self._values


class _OneOf:
    """One order parameter of a joint walk, behind the method of the stock class."""

    def __init__(self, joint: _JointOrderParameters, position: int) -> None:
        self._joint = joint
        self._position = position

    def get_order_parameters(self, sites: list[Any], _n: int, *, indices_neighs: list[int]) -> list[float | None]:  # noqa: ARG002
        return [self._joint.values(sites)[self._position]]


def joined(parameters: list[Any]) -> list[Any]:
    """Share the walks of the order parameters of one coordination number.

    The stock class adds the south-pole terms to the last of its types only, so a walk takes at most one type that has
    such terms, and takes it last; each type then goes through the same operations in the same order as alone.
    """
    plain = [p for p in parameters if p.get_type(0) not in SOUTH_POLE_TYPES]
    polar = [p for p in parameters if p.get_type(0) in SOUTH_POLE_TYPES]
    groups = [[*plain, *polar[:1]], *([p] for p in polar[1:])]
    members: dict[int, _OneOf] = {}
    for group in groups:
        if group:
            joint = _JointOrderParameters(group)
            members |= {id(parameter): _OneOf(joint, position) for position, parameter in enumerate(group)}
    return [members[id(parameter)] for parameter in parameters]


class RememberingFingerprint(CrystalNNFingerprint):  # type: ignore[misc]
    """The order-parameter fingerprint of a site, computed once."""

    def __init__(self, neighbors: RememberingCrystalNN, memory: Memory) -> None:
        stock = CrystalNNFingerprint.from_preset("ops", cation_anion=False)
        super().__init__(stock.op_types, chem_info=None, cation_anion=False)
        self.cnn = neighbors
        for number, entries in self.ops.items():
            shared = iter(joined([entry for entry in entries if entry != "wt"]))
            self.ops[number] = [entry if entry == "wt" else next(shared) for entry in entries]
        self._memory = memory

    def featurize(self, struct: Any, idx: int) -> Any:
        """Return the weighted order parameters of one site; see the stock class."""
        key = ("fingerprint", self._memory.key_of(struct), idx)
        if key not in self._memory:
            self._memory[key] = super().featurize(struct, idx)
        return self._memory[key]


class FingerprintStatistics:
    """Stands where robocrys builds a new `SiteStatsFingerprint` for each question, and hands it the remembering one."""

    def __init__(self, fingerprint: RememberingFingerprint) -> None:
        self._fingerprint = fingerprint

    def from_preset(self, preset: str, *, stats: Any) -> Any:
        """Return statistics, or the values themselves, of the order-parameter fingerprint."""
        assert preset == "CrystalNNFingerprint_ops"
        return SiteStatsFingerprint(self._fingerprint, stats=stats)

    def __call__(self, _site_featurizer: Any, *, stats: Any) -> Any:
        """Do the same in place of the class itself."""
        return SiteStatsFingerprint(self._fingerprint, stats=stats)


class RememberingSiteAnalyzer(SiteAnalyzer):  # type: ignore[misc]
    """Same summaries as the stock class, which finds the next nearest neighbours of a site up to four times."""

    def __init__(self, bonded_structure: Any, **settings: Any) -> None:
        self._geometries: dict[int, dict[str, Any]] = {}
        self._next_nearest: dict[int, list[dict[str, Any]]] = {}
        # While sites are being compared each stands for itself, so what is remembered names the site, not its class.
        self.equivalent_sites = list(range(len(bonded_structure.structure)))
        super().__init__(RememberedBonds(bonded_structure), **settings)

    def get_site_geometry(self, site_index: int) -> dict[str, Any]:
        """Return type and likeness of a site's geometry; see the stock class."""
        if site_index not in self._geometries:
            self._geometries[site_index] = super().get_site_geometry(site_index)
        return self._geometries[site_index]

    def get_next_nearest_neighbors(
        self,
        site_index: int,
        inc_inequivalent_site_index: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> list[dict[str, Any]]:
        """Return the next nearest neighbours, always with their inequivalent site; see the stock class."""
        if site_index not in self._next_nearest:
            self._next_nearest[site_index] = super().get_next_nearest_neighbors(site_index)
        return [
            neighbor | {"inequiv_index": self.equivalent_sites[neighbor["inequiv_index"]]}
            for neighbor in self._next_nearest[site_index]
        ]


class RememberedBonds:
    """The bonds of a structure graph; those of a periodic image are those at the origin, shifted.

    The analyzer reads index, image, distance and species of a bonded site; the coordinates of the site of a shifted
    bond stay those in the cell at the origin.
    """

    def __init__(self, graph: Any) -> None:
        self.structure = graph.structure
        self._graph = graph
        self._at_origin: dict[int, list[Any]] = {}
        self._known: dict[tuple[int, Image], list[Any]] = {}

    def get_connected_sites(self, n: int, jimage: Image = ORIGIN_CELL) -> list[Any]:
        """Return bonded sites, nearest first, equals in the order of the stock class."""
        key = (n, jimage)
        if key not in self._known:
            shifted = {
                bond._replace(jimage=tuple(int(a) + int(b) for a, b in zip(bond.jimage, jimage, strict=True)))
                for bond in self._bonds(n)
            }
            self._known[key] = sorted(shifted, key=lambda bond: bond.dist)
        return self._known[key]

    def _bonds(self, n: int) -> list[Any]:
        """Return the bonds at the origin in the order of the graph's edges; the stock order comes from a set."""
        if n not in self._at_origin:
            edges = self._graph.graph
            ends = [(to, tuple(data["to_jimage"])) for _, to, data in edges.out_edges(n, data=True)]
            ends += [
                (to, tuple(np.negative(data["to_jimage"]).tolist())) for to, _, data in edges.in_edges(n, data=True)
            ]
            bonds = {(bond.index, bond.jimage): bond for bond in self._graph.get_connected_sites(n)}
            self._at_origin[n] = [bonds[end] for end in dict.fromkeys(ends)]
        return self._at_origin[n]
