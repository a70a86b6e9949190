from __future__ import annotations

import pytest

from matbind.modalities.crystal.query import read
from tests.factories import copper


@pytest.mark.parametrize("column", ["cif", "poscar"])
def test_a_structure_is_read_whole(column: str) -> None:
    crystal = read(column, copper().to_pymatgen().to(fmt=column))

    assert crystal.atomic_number.tolist() == [29]
    assert crystal.volume_angstrom3 == pytest.approx(3.61**3 / 4, rel=1e-6)


def test_overlapping_atoms_are_refused() -> None:
    poscar = "x\n4.0\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n1 1\ndirect\n0 0 0\n0.05 0 0\n"

    with pytest.raises(ValueError, match=r"two atoms are 0\.200 angstrom apart, expected at least 0\.5"):
        read("poscar", poscar)


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("cif", "hello", "^the CIF holds no atoms"),
        ("cif", " ", "^the file is empty$"),
        ("poscar", "", "^the file is empty$"),
        ("poscar", "Na\0Cl", "^this is no text but binary data$"),
    ],
)
def test_what_is_no_structure_is_refused(column: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(column, text)
