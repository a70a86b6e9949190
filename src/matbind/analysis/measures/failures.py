"""What was retrieved instead: the nearest wrong keys, and how far from the truth they are as materials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import CHUNK_SIZE, ranks
from matbind.evaluation.vectors import unit_rows
from matbind.materials.symmetry import Symmetry

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

Relation = Literal["same material", "same formula", "isovalent swap", "same prototype", "neither"]
RELATIONS: tuple[Relation, ...] = ("same material", "same formula", "isovalent swap", "same prototype", "neither")
NEAR_MISSES: tuple[Relation, ...] = ("same formula", "isovalent swap", "same prototype")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a material is, for telling near misses from gross ones.

    Attributes:
        material_id: its name.
        formula: reduced formula.
        symmetry: None where it could not be determined.
    """

    material_id: str
    formula: str
    symmetry: Symmetry | None


def relation(query: Identity, found: Identity) -> Relation:
    """How a retrieved material is related to the one that was asked for; the closest relation that holds.

    Returns:
        ``isovalent swap``: the same prototype, and on corresponding sites elements of the same column of the periodic
        table (lanthanides and actinides count as column 3); ``same prototype``: see `matbind.materials.symmetry`.
    """
    if query.material_id == found.material_id:
        return "same material"
    if query.formula == found.formula:
        return "same formula"
    if query.symmetry is None or found.symmetry is None or query.symmetry.prototype != found.symmetry.prototype:
        return "neither"
    return "isovalent swap" if _columns(query.symmetry) == _columns(found.symmetry) else "same prototype"


def nearest_keys(query: FloatArray, key: FloatArray, *, chunk_size: int = CHUNK_SIZE) -> IntArray:
    """Row of the key that is nearest to each query.

    Args:
        query: shape (n, d).
        key: shape (n_keys, d).
        chunk_size: queries at a time; changes memory, not the result.

    Returns:
        Shape (n,).
    """
    unit_query, unit_key = unit_rows(query), unit_rows(key)
    blocks = [
        (unit_query[start : start + chunk_size] @ unit_key.T).argmax(axis=1)
        for start in range(0, len(query), chunk_size)
    ]
    return np.concatenate(blocks).astype(np.int64)


def failures(
    query: FloatArray,
    key: FloatArray,
    identities: Sequence[Identity],
    *,
    worst: int | None = None,
    order_by: Literal["rank", "margin"] = "rank",
) -> list[dict[str, Any]]:
    """Every query whose true key is not nearest, the worst first.

    Args:
        query: embeddings in one modality, shape (n, d).
        key: of the same materials in another, shape (n, d).
        identities: of the materials, n of them.
        worst: how many to return; all if not given.
        order_by: what is worst: the largest rank of the true key, or the largest margin of the nearest key over it.

    Returns:
        Rows of a table: ``material_id``, ``formula``, ``space_group``, ``prototype`` of the query; ``rank`` of its true
        key and ``similarity`` to it; ``found_id``, ``found_formula``, ``found_space_group``, ``found_prototype``,
        ``found_similarity`` of the nearest key, the ``margin`` of that over ``similarity``, and the ``relation`` of the
        two materials. A query whose true key ties with others has rank 2 or more; if it is its own nearest key all the
        same, the relation is ``same material``.

    Raises:
        ValueError: if the shapes differ, or as `matbind.evaluation.retrieval.ranks`.
    """
    if len(identities) != len(query):
        raise ValueError(f"{len(identities)} identities for {len(query)} embeddings")
    rank = ranks(query, key)
    nearest = nearest_keys(query, key)
    unit_query, unit_key = unit_rows(query), unit_rows(key)
    own = np.einsum("id,id->i", unit_query, unit_key)
    best = np.einsum("id,id->i", unit_query, unit_key[nearest])
    badness = rank if order_by == "rank" else best - own
    order = [int(row) for row in np.argsort(-badness, kind="stable") if rank[row] > 1][:worst]
    rows = []
    for row in order:
        asked, found = identities[row], identities[nearest[row]]
        rows.append(
            {
                **_columns_of_table(asked, ""),
                "rank": int(rank[row]),
                "similarity": float(own[row]),
                **_columns_of_table(found, "found_"),
                "found_similarity": float(best[row]),
                "margin": float(best[row] - own[row]),
                "relation": relation(asked, found),
            }
        )
    return rows


def count_relations(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many failures are near misses of each kind.

    Args:
        rows: as `failures` returns them, of all queries.

    Returns:
        A count for each of `RELATIONS`.
    """
    found = Counter(row["relation"] for row in rows)
    return {name: found[name] for name in RELATIONS}


def _columns_of_table(identity: Identity, prefix: str) -> dict[str, Any]:
    symmetry = identity.symmetry
    return {
        f"{prefix}{'id' if prefix else 'material_id'}": identity.material_id,
        f"{prefix}formula": identity.formula,
        f"{prefix}space_group": symmetry.space_group if symmetry else None,
        f"{prefix}prototype": symmetry.prototype if symmetry else None,
    }


def _columns(symmetry: Symmetry) -> list[tuple[int, str]]:
    return sorted((_column(number), orbits) for number, orbits in symmetry.sites)


@lru_cache(maxsize=128)
def _column(atomic_number: int) -> int:
    from pymatgen.core.periodic_table import Element

    return int(Element.from_Z(atomic_number).group)
