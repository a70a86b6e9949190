"""What was retrieved instead: the nearest wrong keys, and how far from the truth they are as materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import CHUNK_SIZE, TIE_TOLERANCE, ranks, unit_rows
from matbind.materials.symmetry import Symmetry

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

Relation = Literal["same material", "same formula", "isovalent swap", "same prototype", "neither"]
RELATIONS: tuple[Relation, ...] = ("same material", "same formula", "isovalent swap", "same prototype", "neither")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a material is, to tell near misses from gross ones.

    Attributes:
        material_id: its name.
        formula: reduced formula.
        symmetry: None where it could not be determined.
    """

    material_id: str
    formula: str
    symmetry: Symmetry | None

    def columns(self) -> dict[str, Any]:
        """Return what a table says of the material."""
        return {
            "id": self.material_id,
            "formula": self.formula,
            "space_group": self.symmetry.space_group if self.symmetry else None,
            "prototype": self.symmetry.prototype if self.symmetry else None,
        }


def relation(query: Identity, retrieved: Identity) -> Relation:
    """Return how a retrieved material is related to the one that was asked for: the closest relation that holds.

    Returns:
        ``isovalent swap``: the same prototype, and on corresponding sites elements of the same column of the periodic
        table (lanthanides and actinides count as column 3); ``same prototype``: see `matbind.materials.symmetry`.
    """
    if query.material_id == retrieved.material_id:
        return "same material"
    if query.formula == retrieved.formula:
        return "same formula"
    if query.symmetry is None or retrieved.symmetry is None or query.symmetry.prototype != retrieved.symmetry.prototype:
        return "neither"
    return "isovalent swap" if _columns(query.symmetry) == _columns(retrieved.symmetry) else "same prototype"


def failures(queries: FloatArray, keys: FloatArray, identities: Sequence[Identity]) -> list[dict[str, Any]]:
    """Return every query whose true key is not nearest, the largest margin of the nearest key over it first.

    Args:
        queries: embeddings in one modality, shape (n, d).
        keys: of the same materials in another, shape (n, d).
        identities: of the materials, n of them.

    Returns:
        Rows of a table: ``material_id``, ``formula``, ``space_group``, ``prototype`` of the query; ``rank`` of its true
        key and ``similarity`` to it; ``found_id``, ``found_formula``, ``found_space_group``, ``found_prototype``,
        ``found_similarity`` of the nearest key, the ``margin`` of that over ``similarity``, and the ``relation`` of the
        two materials. A query whose true key ties with others has rank 2 or more; if it is its own nearest key all the
        same, the relation is ``same material``.
    """
    rank = ranks(queries, keys)
    unit_queries, unit_keys = unit_rows(queries), unit_rows(keys)
    nearest = _nearest(unit_queries, unit_keys)
    similarity = np.einsum("id,id->i", unit_queries, unit_keys)
    highest = np.einsum("id,id->i", unit_queries, unit_keys[nearest])
    margin = highest - similarity
    rows = []
    for row in (int(row) for row in np.argsort(-margin, kind="stable") if rank[row] > 1):
        asked, retrieved = identities[row], identities[nearest[row]]
        query = asked.columns()
        rows.append(
            {
                "material_id": query.pop("id"),
                **query,
                "rank": int(rank[row]),
                "similarity": float(similarity[row]),
                **{f"found_{column}": value for column, value in retrieved.columns().items()},
                "found_similarity": float(highest[row]),
                "margin": float(margin[row]),
                "relation": relation(asked, retrieved),
            }
        )
    return rows


def label_ranks(queries: FloatArray, keys: FloatArray, labels: Sequence[object]) -> IntArray:
    """Return the rank of the best key that has the query's label: 1 + the number of others at least as similar.

    Args:
        queries: shape (n, d).
        keys: of the same materials in the same order, shape (n, d).
        labels: such as formulas or prototypes, one a material; None is a label of its own each time.

    Returns:
        1-based ranks, shape (n,), never larger than that of the true key. Ties with keys of another label count against
        the query.
    """
    number = label_numbers(labels)
    unit_queries, unit_keys = unit_rows(queries), unit_rows(keys)
    rank = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        similarity = unit_queries[rows] @ unit_keys.T
        same = number[rows, None] == number
        best = np.where(same, similarity, -np.inf).max(axis=1, keepdims=True)
        rank[rows] = 1 + np.count_nonzero(~same & (similarity >= best - TIE_TOLERANCE), axis=1)
    return rank


def label_chance(labels: Sequence[object]) -> float:
    """Return the expected recall@1 by label of a model that knows nothing; labels as in `label_ranks`."""
    from scipy.stats import hypergeom

    _, inverse, counts = np.unique(label_numbers(labels), return_inverse=True, return_counts=True)
    return float(np.mean(1 - hypergeom.pmf(0, len(labels), counts[inverse], 1)))


def label_numbers(labels: Sequence[object]) -> IntArray:
    """Number the labels so that equal ones share a number and every None has its own."""
    numbers: dict[object, int] = {}
    keys = [(label,) if label is not None else i for i, label in enumerate(labels)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _nearest(unit_queries: FloatArray, unit_keys: FloatArray) -> IntArray:
    """Return the row of the key that is nearest to each query."""
    blocks = [
        (unit_queries[start : start + CHUNK_SIZE] @ unit_keys.T).argmax(axis=1)
        for start in range(0, len(unit_queries), CHUNK_SIZE)
    ]
    return np.concatenate(blocks).astype(np.int64)


def _columns(symmetry: Symmetry) -> list[tuple[int, str]]:
    return sorted((_column(number), orbits) for number, orbits in symmetry.sites)


@lru_cache(maxsize=128)
def _column(atomic_number: int) -> int:
    from pymatgen.core.periodic_table import Element

    return int(Element.from_Z(atomic_number).group)
