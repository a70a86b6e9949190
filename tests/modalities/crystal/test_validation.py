from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.modalities.crystal.validation import Validator, split_conflicts
from tests import checked

SALT = {
    "material_id": "salt",
    "formula": "NaCl",
    "lattice": (np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.82).ravel().tolist(),
    "atomic_numbers": [11, 17],
    "frac_coords": [0.0, 0, 0, 0.5, 0.5, 0.5],
    "split": "train",
    "site_index": None,
    "occupancy": None,
}
SCHEMA = {
    "material_id": pl.String,
    "formula": pl.String,
    "lattice": pl.List(pl.Float64),
    "atomic_numbers": pl.List(pl.Int16),
    "frac_coords": pl.List(pl.Float64),
    "split": pl.String,
    "site_index": pl.List(pl.Int64),
    "occupancy": pl.List(pl.Float64),
}


def summary(settings, *changes) -> pl.DataFrame:
    return Validator(settings().crystal).summarize(rows(*changes))


def rows(*changes) -> pl.DataFrame:
    return pl.DataFrame([SALT | change for change in changes], schema=SCHEMA, orient="row").with_row_index("row")


def failing(settings, change, **options) -> set[str]:
    block = settings(crystal=options).crystal
    return checked.failing("crystal", block, Validator(block), rows(change))


def test_measures_of_rock_salt(settings):
    row = summary(settings, {}).row(0, named=True)
    assert row["min_distance_angstrom"] == pytest.approx(2.82)
    assert row["shortest_contact"] == pytest.approx(2.82 / (1.66 + 1.02))
    assert row["volume_per_atom_angstrom3"] == pytest.approx(2.82**3)
    assert row["formula_distance"] == 0
    assert (row["n_shape_faults"], row["n_not_finite"], row["n_unsupported"], row["most_species"]) == (0, 0, 0, 1)
    assert failing(settings, {}) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lattice": SALT["lattice"][:8]}, {"arrays_fit"}),
        ({"lattice": None}, {"arrays_fit"}),
        ({"frac_coords": [0.0, 0, 0, 0.5, 0.5]}, {"arrays_fit"}),
        ({"frac_coords": [], "atomic_numbers": []}, {"arrays_fit"}),
        ({"lattice": [np.nan, *SALT["lattice"][1:]]}, {"finite"}),
        ({"frac_coords": [0.0, 0.0, 0.0, 0.5, None, 0.5]}, {"finite"}),
        ({"frac_coords": [0.0, 0, 0, 0.5, -np.inf, 0.5]}, {"finite"}),
        ({"atomic_numbers": [0, 17]}, {"elements_supported"}),
        ({"atomic_numbers": [11, None]}, {"elements_supported"}),
        ({"atomic_numbers": [11, 97]}, {"elements_supported"}),
        (
            {"lattice": [*SALT["lattice"][:6], *SALT["lattice"][:3]]},
            {"cell_spans_volume", "volume_per_atom", "volume_fits_elements"},
        ),
        ({"frac_coords": [0.0, 0, 0, 2.82, 2.82, 2.82]}, {"coordinates_fractional"}),
        ({"frac_coords": [0.0, 0, 0, 0.05, 0.05, 0.05]}, {"min_distance", "no_overlap"}),
        ({"lattice": [1.6 * x for x in SALT["lattice"]]}, {"atoms_in_contact"}),
        ({"formula": "NaBr"}, {"formula_of_atoms"}),
        ({"formula": "Na2Cl"}, {"formula_of_atoms"}),
        ({"formula": "salt"}, {"formula_of_atoms"}),
        ({"split": "tets"}, {"split_known"}),
        ({"split": None}, {"split_known"}),
        ({"site_index": [0, 1], "occupancy": [1.3, 1.0]}, {"occupancy_at_most_one", "formula_of_atoms"}),
        ({"site_index": [0, 1], "occupancy": [0.01, 0.01]}, {"occupancy_stated", "volume_fits_elements"}),
        ({"site_index": [1, 0], "occupancy": [1.0, 1.0]}, {"arrays_fit"}),
        ({"site_index": [0, 2], "occupancy": [1.0, 1.0]}, {"arrays_fit"}),
        ({"site_index": [0, 0], "occupancy": [0.5, 0.5]}, {"arrays_fit"}),
        ({"site_index": [0, 1], "occupancy": [1.0]}, {"arrays_fit"}),
        ({"site_index": [0, 1], "occupancy": [1.0, np.nan]}, {"finite"}),
    ],
)
def test_each_fault_fails_its_own_expectations(settings, change, expected):
    assert failing(settings, change) == expected


def mixed(n_sites: int = 2) -> dict:
    return {
        "formula": "NaCl0.5Br0.5",
        "atomic_numbers": [11, 17, 35],
        "site_index": [0, 1, 1],
        "occupancy": [1.0, 0.5, 0.5],
    }


def test_a_mixed_site_is_sound_where_occupancies_are_stated(settings):
    assert failing(settings, mixed()) == set()
    assert summary(settings, mixed())["most_species"][0] == 2


def test_a_mixed_site_is_refused_where_the_settings_want_ordered_crystals(settings):
    assert failing(settings, mixed(), partial_occupancy=False) == {"species_per_site"}


def test_a_faulty_row_leaves_the_measures_of_its_neighbours_alone(settings):
    alone = summary(settings, {}).drop("row")
    among = summary(settings, {"lattice": None}, {}, {"atomic_numbers": [11]}, {}).drop("row")
    assert among[1].equals(alone)
    assert among[3].equals(alone)


def test_a_crystal_of_a_noble_gas_may_have_no_contacts(settings):
    argon = {
        "formula": "Ar",
        "atomic_numbers": [18],
        "frac_coords": [0.0, 0, 0],
        "lattice": [2.63 / 2.82 * x for x in SALT["lattice"]],
    }
    assert failing(settings, argon) == set()


def conflicts(*sides: tuple[str, str]) -> list[float]:
    frame = pl.DataFrame(sides, schema=["formula_key", "split"], orient="row")
    return split_conflicts(frame).to_list()


def test_the_smaller_side_of_a_formula_is_in_conflict():
    assert conflicts(("a", "test"), ("a", "train"), ("a", "test"), ("b", "train")) == [0, 2, 0, 0]


def test_in_a_tie_train_keeps_the_formula():
    assert conflicts(("a", "test"), ("a", "train")) == [1, 0]


def test_rows_without_a_formula_do_not_conflict():
    assert conflicts(("", "test"), ("", "train")) == [0, 0]


def test_copies_on_another_side_are_counted_where_their_formula_is_in_conflict(settings):
    larger = {"lattice": [1.1 * x for x in SALT["lattice"]]}
    copies = ({}, {"split": "test"}, {"split": "train"}, larger | {"split": "test"})
    validator, structures = Validator(settings().crystal), rows(*copies)
    compared = validator.compare(validator.summarize(structures), structures)
    assert compared["duplicate_of"].to_list() == [0, 0, 0, 3]
    assert compared["n_formula_elsewhere"].to_list() == [0, 2, 0, 2]
    assert compared["n_duplicates_elsewhere"].to_list() == [0, 2, 0, 0]


def test_no_duplicates_are_looked_for_where_the_settings_say_so(settings):
    validator, structures = Validator(settings(crystal={"duplicates": None}).crystal), rows({}, {})
    compared = validator.compare(validator.summarize(structures), structures)
    assert compared["duplicate_of"].to_list() == [0, 1]
