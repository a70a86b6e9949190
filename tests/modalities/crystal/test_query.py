from __future__ import annotations

import pytest

from matbind.modalities.crystal.query import read
from tests.factories import copper


@pytest.mark.parametrize("column", ["cif", "poscar"])
def test_a_structure_is_read_whole(column: str) -> None:
    found = read(column, copper().to_pymatgen().to(fmt=column))

    assert found.atomic_number.tolist() == [29]
    assert found.volume_angstrom3 == pytest.approx(3.61**3 / 4, rel=1e-6)


def test_overlapping_atoms_are_refused() -> None:
    poscar = "x\n4.0\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n1 1\ndirect\n0 0 0\n0.05 0 0\n"

    with pytest.raises(ValueError, match=r"two atoms are 0\.200 angstrom apart, expected at least 0\.5"):
        read("poscar", poscar)


def test_what_is_no_structure_is_refused_without_the_path_of_a_temporary_file() -> None:
    with pytest.raises(ValueError, match=r"^the CIF holds no atoms"):
        read("cif", "hello")
