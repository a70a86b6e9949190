from __future__ import annotations

from typing import Any

import pytest

from matbind.base.errors import UserError
from matbind.data.sources.materials_project.query import Query


def test_the_default_is_the_whole_database_under_its_open_licence() -> None:
    assert Query().parameters() == {"deprecated": False, "batch_id_not_eq": "gnome_r2scan_statics"}


def test_every_condition_reaches_the_search() -> None:
    query = Query(
        elements=("O", "Li"),
        exclude_elements="Pb",  # type: ignore[arg-type]
        chemsys=("Li-O", "Li-*-O"),
        formula=("ABO3",),
        max_sites=40,
        energy_above_hull=0.1,
        band_gap_ev=(0.5, 3.0),
        theoretical=False,
        only_with_dos=True,
    )

    assert query.parameters() == Query().parameters() | {
        "elements": "Li,O",
        "exclude_elements": "Pb",
        "chemsys": "Li-*-O,Li-O",
        "formula": "ABO3",
        "nsites_min": 1,
        "nsites_max": 40,
        "energy_above_hull_min": 0.0,
        "energy_above_hull_max": 0.1,
        "band_gap_min": 0.5,
        "band_gap_max": 3.0,
        "theoretical": False,
        "has_props": "dos",
    }


def test_the_order_of_ids_makes_no_other_query() -> None:
    assert Query(material_ids=("mp-2", "mp-1", "mp-2")) == Query(material_ids=("mp-1", "mp-2"))


def test_only_a_bare_list_of_ids_must_be_found_whole() -> None:
    assert Query(material_ids=("mp-1",)).names_materials_alone()
    assert not Query(material_ids=("mp-1",), max_sites=4).names_materials_alone()
    assert not Query().names_materials_alone()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"elements": ("Lithium",)}, "query: elements holds 'Lithium', expected symbols of elements such as Li"),
        ({"elements": (3,)}, "query: elements holds 3, expected symbols of elements such as Li"),
        ({"chemsys": ("BaTiO3",)}, "query: chemsys holds 'BaTiO3', expected chemical systems such as Ba-Ti-O"),
        ({"formula": ("Ba TiO3",)}, "query: formula holds 'Ba TiO3', expected formulas"),
        ({"material_ids": ("149",)}, "query: material_ids holds '149', expected ids such as mp-149"),
        ({"max_sites": 0}, "query: max_sites is 0, expected a whole number of at least 1"),
        ({"limit": True}, "query: limit is True, expected a whole number of at least 1"),
        ({"energy_above_hull": -0.1}, "query: energy_above_hull is -0.1, expected 0 or more"),
        ({"band_gap_ev": (3, 1)}, "query: band_gap_ev is \\(3, 1\\), expected the lowest and the highest gap in eV"),
        ({"band_gap_ev": (3,)}, "query: band_gap_ev holds \\(3,\\), expected the lowest and the highest gap in eV"),
        ({"theoretical": "no"}, "query: theoretical is 'no', expected true or false"),
    ],
)
def test_a_value_of_another_kind_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Query(**values)
