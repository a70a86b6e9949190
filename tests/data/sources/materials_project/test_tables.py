from __future__ import annotations

from typing import Any

import pytest
from pymatgen.core import Lattice, Structure

from matbind.data.sources.materials_project.tables import dos_row, structure_row


def _document(structure: Structure, **values: Any) -> dict[str, Any]:
    return {"structure": structure.as_dict(), **values}


def _dos(**values: Any) -> dict[str, Any]:
    row = {
        "identifier": "aaaaaaft",
        "energies": [-1.0, 0.0, 1.0],
        "spin_up_densities": [1.0, 2.0, 3.0],
        "spin_down_densities": [0.5, 0.25, 0.0],
        "efermi": 0.5,
        "structure": Structure(Lattice.cubic(5.4), ["Si"] * 2, [[0, 0, 0], [0.25] * 3]).as_dict(),
    }
    return row | values


def test_a_shared_site_keeps_its_occupancies() -> None:
    alloy = Structure(Lattice.cubic(3.8), [{"Cu": 0.75, "Au": 0.25}], [[0, 0, 0]])

    row = structure_row(_document(alloy))

    assert row["formula"] == "Cu0.75Au0.25"
    assert row["site_index"] == [0, 0]
    assert dict(zip(row["atomic_numbers"], row["occupancy"], strict=True)) == {29: 0.75, 79: 0.25}


def test_an_empty_place_keeps_its_occupancy() -> None:
    row = structure_row(_document(Structure(Lattice.cubic(3.0), [{"Fe": 0.9}], [[0, 0, 0]])))

    assert (row["site_index"], row["occupancy"]) == ([0], [0.9])


def test_unknown_properties_stay_empty() -> None:
    row = structure_row(_document(Structure(Lattice.cubic(3.0), ["Fe"], [[0, 0, 0]]), band_gap=None))

    assert (row["band_gap"], row["formation_energy_per_atom"], row["e_above_hull"]) == (None, None, None)


def test_a_density_of_states_is_per_cell_of_its_calculation() -> None:
    assert dos_row(_dos(), formula="Si") == {
        "energies": [-1.0, 0.0, 1.0],
        "densities": [1.5, 2.25, 3.0],
        "efermi": 0.5,
        "n_atoms": 2,
    }


def test_without_spin_polarisation_one_channel_holds_both_spins() -> None:
    assert dos_row(_dos(spin_down_densities=None), formula="Si")["densities"] == [1.0, 2.0, 3.0]


def test_without_a_structure_the_cell_is_left_open() -> None:
    assert dos_row(_dos(structure=None), formula="Si")["n_atoms"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"energies": None}, "is empty"),
        ({"spin_up_densities": None, "spin_down_densities": None}, "is empty"),
        ({"energies": [0.0, 1.0]}, "2 energies and 3 densities"),
        ({"energies": [1.0, 0.0, 2.0]}, "do not ascend"),
        ({"efermi": float("nan")}, "not finite"),
        ({"spin_up_densities": [1.0, float("inf"), 0.0]}, "not finite"),
        ({"efermi": None}, "Fermi level unspecified"),
    ],
)
def test_a_density_of_states_that_is_none_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dos_row(_dos(**values), formula="Si")


def test_a_density_of_states_of_another_compound_is_refused() -> None:
    with pytest.raises(ValueError, match="is of Si, the material of Ge"):
        dos_row(_dos(), formula="Ge")
