from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from matbind.materials.structure import Structure, lower_triangular

CUBE = np.eye(3) * 4.0


def mixed_arrays() -> dict[str, object]:
    """One mixed site (iron and nickel) and one oxygen."""
    return {
        "lattice": CUBE,
        "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
        "site_index": [0, 0, 1],
        "atomic_number": [26, 28, 8],
        "occupancy": [0.25, 0.75, 1.0],
    }


def test_ordered_puts_one_full_species_on_each_site():
    structure = Structure.ordered(CUBE, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    assert structure.n_sites == 2
    assert structure.site_index.tolist() == [0, 1]
    assert structure.atomic_number.tolist() == [55, 17]
    assert structure.occupancy.tolist() == [1.0, 1.0]


def test_volume_is_positive_for_a_left_handed_cell():
    assert Structure.ordered(CUBE[[1, 0, 2]], [[0, 0, 0]], [29]).volume_angstrom3 == pytest.approx(64.0)


def test_a_mixed_crystal_survives_the_way_to_pymatgen_and_back():
    structure = Structure(**mixed_arrays())  # type: ignore[arg-type]
    back = Structure.from_pymatgen(structure.to_pymatgen())
    assert back.site_index.tolist() == [0, 0, 1]
    assert back.atomic_number.tolist() == [26, 28, 8]
    np.testing.assert_allclose(back.occupancy, [0.25, 0.75, 1.0])
    np.testing.assert_allclose(back.frac_coords, structure.frac_coords)
    np.testing.assert_allclose(back.lattice, structure.lattice)


def test_from_pymatgen_forgets_oxidation_states():
    salt = PymatgenStructure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na+", "Cl-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert sorted(Structure.from_pymatgen(salt).atomic_number.tolist()) == [11] * 4 + [17] * 4


def test_to_pymatgen_adds_two_entries_of_one_element_on_a_site():
    structure = Structure(CUBE, np.zeros((1, 3)), np.array([0, 0]), np.array([26, 26]), np.array([0.5, 0.25]))
    assert structure.to_pymatgen()[0].species.as_dict() == {"Fe": 0.75}


def test_dummy_species_are_refused():
    dummy = PymatgenStructure(CUBE, ["X0+"], [[0, 0, 0]])
    with pytest.raises(ValueError, match="Site 0 holds the dummy"):
        Structure.from_pymatgen(dummy)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lattice", np.eye(2), "lattice has shape"),
        ("lattice", CUBE * [[1], [1], [np.nan]], "lattice holds a value that is not finite"),
        ("lattice", [[1, 0, 0], [0, 1, 0], [1, 1, 0]], "lattice is singular"),
        ("frac_coords", [0.0, 0.0, 0.0], "frac_coords has shape"),
        ("frac_coords", np.empty((0, 3)), "at least one site"),
        ("frac_coords", [[0, 0, 0], [0, 0, np.inf]], "frac_coords holds a value that is not finite"),
        ("site_index", [0, 1], "one common"),
        ("site_index", [0, 0, 0], "name every site"),
        ("site_index", [1, 0, 1], "must ascend"),
        ("site_index", [0.0, 0.0, 1.0], "expected integers"),
        ("atomic_number", [26, 28, 0], "atomic_number 0 is not between"),
        ("atomic_number", [26, 28, 119], "atomic_number 119 is not between"),
        ("occupancy", [0.25, 0.75, 0.0], "above 0"),
        ("occupancy", [0.25, 0.75, np.nan], "must be finite"),
        ("occupancy", [0.25, 0.7521, 1.0], "Occupancies of site 0 sum to 1.0021"),
    ],
)
def test_what_no_crystal_has_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        Structure(**(mixed_arrays() | {field: value}))  # type: ignore[arg-type]


def test_occupancies_may_exceed_one_by_the_rounding_of_a_cif_file():
    assert Structure(**(mixed_arrays() | {"occupancy": [0.3335, 0.667, 1.0]})).n_sites == 2  # type: ignore[arg-type]


def test_ordered_refuses_another_number_of_species_than_sites():
    with pytest.raises(ValueError, match="one number for each of 1 sites"):
        Structure.ordered(CUBE, [[0, 0, 0]], [29, 29])


def test_lower_triangular_keeps_lengths_and_angles():
    cell = np.array([[-3.0, 1.0, 0.5], [0.2, 4.0, -1.0], [1.0, 1.0, 5.0]])
    turned = lower_triangular(cell)
    np.testing.assert_allclose(turned @ turned.T, cell @ cell.T, atol=1e-12)
    np.testing.assert_allclose(np.triu(turned, 1), 0.0, atol=1e-12)
    assert (np.diag(turned) > 0).all()


def test_read_only_arrays_are_copied_and_others_are_not():
    frozen, free = np.zeros((1, 3)), CUBE.copy()
    frozen.setflags(write=False)
    structure = Structure.ordered(free, frozen, [29])
    assert structure.frac_coords.flags.writeable
    assert structure.lattice is free
