from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.analysis.measures.failures import Identity, count_relations, failures, nearest_keys, relation
from matbind.materials.structure import Structure
from matbind.materials.symmetry import find_symmetry
from tests.factories import copper, rocksalt


def identity(material_id: str, formula: str, structure: Structure | None) -> Identity:
    return Identity(material_id, formula, find_symmetry(structure) if structure else None)


SALT = identity("m-1", "NaCl", rocksalt())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SALT, "same material"),
        (identity("m-2", "NaCl", copper()), "same formula"),  # a polymorph
        (identity("m-3", "KBr", rocksalt(6.6, (19, 35))), "isovalent swap"),
        (identity("m-4", "MgO", rocksalt(4.2, (12, 8))), "same prototype"),
        (identity("m-5", "Cu", copper()), "neither"),
        (identity("m-6", "KBr", None), "neither"),
    ],
)
def test_how_a_retrieved_material_is_related(found, expected):
    assert relation(SALT, found) == expected


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


def test_nearest_keys_whatever_the_chunks():
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(11, 3)), rng.normal(size=(11, 3))
    expected = (query @ (key / np.linalg.norm(key, axis=1)[:, None]).T).argmax(axis=1)
    np.testing.assert_array_equal(nearest_keys(query, key), expected)
    np.testing.assert_array_equal(nearest_keys(query, key, chunk_size=4), expected)


def four() -> tuple[np.ndarray, np.ndarray, list[Identity]]:
    """Query 0 finds itself, 1 finds 2, 2 finds 1, 3 is as far as can be."""
    angles = np.deg2rad([0, 40, 50, 90]), np.deg2rad([0, 52, 39, 200])
    query, key = (np.column_stack([np.cos(each), np.sin(each)]) for each in angles)
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


def test_only_the_worst_where_asked():
    assert [row["material_id"] for row in failures(*four(), worst=1)] == ["m-4"]


def test_worst_by_rank_and_by_margin_differ():
    # Two keys are narrowly before the first query's, one is widely before the second's.
    angles = np.deg2rad([0, 90, 5, -5]), np.deg2rad([10, 174, 5, -5])
    query, key = (np.column_stack([np.cos(each), np.sin(each)]) for each in angles)
    [by_rank] = failures(query, key, four()[2], worst=1)
    [by_margin] = failures(query, key, four()[2], worst=1, order_by="margin")
    assert (by_rank["material_id"], by_rank["rank"]) == ("m-1", 3)
    assert (by_margin["material_id"], by_margin["rank"]) == ("m-2", 2)
    assert by_margin["margin"] == pytest.approx(np.cos(np.deg2rad(80)) - np.cos(np.deg2rad(84)))


def test_relations_are_counted_with_zeros():
    assert count_relations(failures(*four())) == {
        "same material": 0,
        "same formula": 0,
        "isovalent swap": 2,
        "same prototype": 0,
        "neither": 1,
    }


def test_rows_make_a_table():
    table = pl.DataFrame(failures(*four()))
    assert table.schema["space_group"] == pl.Int64
    assert table["found_prototype"][0] == "225 1:4_-3mm|1:4_-3mm"


def test_no_failure_where_every_key_is_nearest():
    assert failures(np.eye(4), np.eye(4), four()[2]) == []


def test_identities_of_another_number_are_refused():
    with pytest.raises(ValueError, match="3 identities for 4 embeddings"):
        failures(*four()[:2], four()[2][:3])
