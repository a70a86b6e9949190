"""Crystal structure: sites, their nearest neighbours with true image vectors, and the strains its symmetry allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.neighbors import neighbor_graph
from matbind.materials.strains import strain_projector
from matbind.materials.structure_factors import partial_structure_factors
from matbind.materials.symmetry import reduced_primitive_cell, symmetry_rotations
from matbind.modalities.crystal.settings import FeaturesSettings
from matbind.modalities.material import Material
from matbind.modalities.store import ArraySpec

HEAVIEST_ATOMIC_NUMBER = 96  # the encoder knows the elements up to curium


def specs(settings: FeaturesSettings) -> dict[str, ArraySpec]:
    """Return the arrays kept of a crystal."""
    edges = settings.max_neighbors
    return {
        "atomic_number": ArraySpec("uint8", ragged=True),
        "occupancy": ArraySpec("float32", ragged=True),
        "site_index": ArraySpec("int32", ragged=True),
        "neighbor": ArraySpec("int32", (edges,), ragged=True),
        "edge_vector": ArraySpec("float32", (edges, 3), ragged=True),
        "strain_projector": ArraySpec("float32", (6, 6)),
        "cell": ArraySpec("float32", (3, 3)),  # rows: Niggli-reduced vectors of the primitive cell, angstrom
        "n_primitive_sites": ArraySpec("int32"),
        "g_vector": ArraySpec("float32", (3,), ragged=True),
        "element_pair": ArraySpec("uint8", (2,), ragged=True),
        "partial": ArraySpec("float32", ragged=True),  # peak by peak, one value an element pair
    }


def fit(materials: Iterable[Material], settings: FeaturesSettings) -> dict[str, Any]:  # noqa: ARG001
    """Return what an encoder is built from; nothing has to be learned."""
    return settings.model_dump()


class Featurizer:
    """Makes arrays of structures."""

    def __init__(self, settings: FeaturesSettings, meta: dict[str, Any]) -> None:  # noqa: ARG002
        self.settings = settings

    def __call__(self, material: Material) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of one material.

        Raises:
            ValueError: if it holds an element that the encoder does not know.
        """
        structure = material.structure
        heaviest = int(structure.atomic_number.max())
        if heaviest > HEAVIEST_ATOMIC_NUMBER:
            raise ValueError(f"atomic number {heaviest} is beyond the encoder's {HEAVIEST_ATOMIC_NUMBER} elements")
        graph = neighbor_graph(
            structure, cutoff_angstrom=self.settings.cutoff_angstrom, max_neighbors=self.settings.max_neighbors
        )
        long_range: dict[str, npt.NDArray[Any]]
        if self.settings.g_stop_per_angstrom:
            peaks = partial_structure_factors(structure, g_stop_per_angstrom=self.settings.g_stop_per_angstrom)
            long_range = {"g_vector": peaks.g_vector, "element_pair": peaks.pairs, "partial": peaks.partial.ravel()}
        else:
            long_range = {"g_vector": np.zeros((0, 3)), "element_pair": np.zeros((0, 2)), "partial": np.zeros(0)}
        cell, n_primitive = reduced_primitive_cell(structure)
        return {
            **long_range,
            "cell": cell,
            "n_primitive_sites": np.array(n_primitive),
            "atomic_number": structure.atomic_number,
            "occupancy": structure.occupancy,
            "site_index": structure.site_index,
            "neighbor": graph.neighbor,
            "edge_vector": graph.edge_vector,
            "strain_projector": strain_projector(symmetry_rotations(structure)),
        }
