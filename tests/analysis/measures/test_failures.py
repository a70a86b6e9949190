from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.analysis.measures.failures import (
    Identity,
    failures,
    label_chance,
    label_numbers,
    label_ranks,
    relation,
)
from matbind.evaluation.retrieval import ranks
from matbind.materials.structure import Structure
from matbind.materials.symmetry import find_symmetry
from tests.factories import copper, rocksalt


def identity(material_id: str, formula: str, structure: Structure | None) -> Identity:
    return Identity(material_id, formula, find_symmetry(structure) if structure else None)


SALT = identity("m-1", "NaCl", rocksalt())


@pytest.mark.parametrize(
    ("retrieved", "expected"),
    [
        (SALT, "same material"),
        (identity("m-2", "NaCl", copper()), "same formula"),  # a polymorph
        (identity("m-3", "KBr", rocksalt(6.6, (19, 35))), "isovalent swap"),
        (identity("m-4", "MgO", rocksalt(4.2, (12, 8))), "same prototype"),
        (identity("m-5", "Cu", copper()), "neither"),
        (identity("m-6", "KBr", None), "neither"),
    ],
)
def test_how_a_retrieved_material_is_related(retrieved, expected):
    assert relation(SALT, retrieved) == expected


def test_elements_have_to_be_swapped_on_corresponding_sites():
    # Antifluorite: Li2O against CaF2. The prototype is the same, the roles of metal and anion are not.
    tetrahedral = [[0.25] * 3, [0.75] * 3]
    lattice = 2.7 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])

    def fluorite(numbers):
        return Structure.ordered(lattice, [[0, 0, 0], *tetrahedral], numbers)

    lithium, sodium = (identity(f"m-{z}", "A2X", fluorite([x, z, z])) for z, x in ((3, 8), (11, 16)))
    fluoride = identity("m-9", "CaF2", fluorite([20, 9, 9]))
    sodium = Identity(sodium.material_id, "Na2S", sodium.symmetry)
    assert relation(lithium, sodium) == "isovalent swap"
    assert relation(lithium, fluoride) == "same prototype"


def four() -> tuple[np.ndarray, np.ndarray, list[Identity]]:
    """Query 0 finds itself, 1 finds 2, 2 finds 1, 3 is as far as can be."""
    angles = np.deg2rad([0, 40, 50, 90]), np.deg2rad([0, 52, 39, 200])
    query, key = (np.column_stack([np.cos(side), np.sin(side)]) for side in angles)
    identities = [
        SALT,
        identity("m-2", "KBr", rocksalt(6.6, (19, 35))),
        identity("m-3", "LiF", rocksalt(4.0, (3, 9))),
        identity("m-4", "Cu", copper()),
    ]
    return query, key, identities


def test_failures_are_listed_worst_first():
    rows = failures(*four())
    assert [(row["material_id"], row["rank"], row["found_id"], row["relation"]) for row in rows] == [
        ("m-4", 4, "m-2", "neither"),
        ("m-2", 2, "m-3", "isovalent swap"),
        ("m-3", 2, "m-2", "isovalent swap"),
    ]
    assert rows[0]["similarity"] == pytest.approx(np.cos(np.deg2rad(110)))
    assert rows[0]["found_similarity"] == pytest.approx(np.cos(np.deg2rad(38)))


def test_the_worst_is_the_largest_margin_and_not_the_largest_rank():
    # Two keys are narrowly before the first query's, one is widely before the second's.
    angles = np.deg2rad([0, 90, 5, -5]), np.deg2rad([10, 174, 5, -5])
    query, key = (np.column_stack([np.cos(side), np.sin(side)]) for side in angles)
    first, second, *_ = failures(query, key, four()[2])
    assert (first["material_id"], first["rank"]) == ("m-2", 2)
    assert first["margin"] == pytest.approx(np.cos(np.deg2rad(80)) - np.cos(np.deg2rad(84)))
    assert (second["material_id"], second["rank"]) == ("m-1", 3)


def test_rows_make_a_table():
    table = pl.DataFrame(failures(*four()))
    assert table.schema["space_group"] == pl.Int64
    assert table["found_prototype"][0] == "225 1:4_-3mm|1:4_-3mm"


def test_no_failure_where_every_key_is_nearest():
    assert failures(np.eye(4), np.eye(4), four()[2]) == []


def noisy_pair(n: int = 60, d: int = 5, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


def test_the_nearest_key_does_not_depend_on_the_chunks(monkeypatch):
    query, key = noisy_pair(60)
    identities = [Identity(f"m-{i}", f"A{i}", None) for i in range(60)]
    whole = failures(query, key, identities), label_ranks(query, key, [i // 3 for i in range(60)])
    monkeypatch.setattr("matbind.analysis.measures.failures.CHUNK_SIZE", 7)
    assert [row["found_id"] for row in failures(query, key, identities)] == [row["found_id"] for row in whole[0]]
    np.testing.assert_array_equal(label_ranks(query, key, [i // 3 for i in range(60)]), whole[1])


def test_label_numbers_keep_unknown_labels_apart():
    np.testing.assert_array_equal(label_numbers(["NaCl", None, "NaCl", None]), [0, 1, 0, 2])


def test_distinct_labels_give_the_ranks_of_the_materials():
    query, key = noisy_pair()
    np.testing.assert_array_equal(label_ranks(query, key, list(range(60))), ranks(query, key))


def test_a_key_of_the_same_label_counts_as_found():
    query = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])
    key = np.array([[0.0, 1.0], [1.0, 0.1], [-1.0, 0.1]])  # the first two are exchanged
    np.testing.assert_array_equal(ranks(query, key), [2, 3, 1])
    np.testing.assert_array_equal(label_ranks(query, key, ["a", "a", "b"]), [1, 1, 1])


def test_a_tie_with_another_label_counts_against_the_query():
    same = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(label_ranks(same, same, ["a", "a", "b"]), [2, 2, 3])


def test_chance_by_label_by_hand():
    # Two of three keys for the "a" queries, one of three for "b".
    assert label_chance(["a", "a", "b"]) == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
