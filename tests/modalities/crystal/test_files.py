from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest

from matbind.base.errors import UserError
from matbind.modalities.crystal.files import cif_blocks, read_structure
from tests.factories import mixed, rocksalt, triclinic
from tests.modalities.pxrd.instruments import DATA

CIF = (DATA / "rocksalt.cif").read_text()
POSCAR = """rock salt, primitive
5.64
0.0 0.5 0.5
0.5 0.0 0.5
0.5 0.5 0.0
Na Cl
1 1
Direct
0.0 0.0 0.0
0.5 0.5 0.5
"""


def _read(tmp_path, text, *, name="a.cif", block=None):
    path = tmp_path / name
    path.write_text(text)
    return read_structure(path, block=block)


def test_the_symmetry_of_a_cif_is_applied():
    contents = read_structure(DATA / "rocksalt.cif")
    assert (contents.formula, contents.structure.n_sites, contents.warnings) == ("NaCl", 8, ())
    np.testing.assert_allclose(contents.structure.lattice, 5.6402 * np.eye(3), atol=1e-9)
    assert sorted(contents.structure.atomic_number.tolist()) == [11] * 4 + [17] * 4


def test_symmetry_operators_of_a_cif_are_applied(tmp_path):
    operators = (
        "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n'x, y+1/2, z+1/2'\n'x+1/2, y, z+1/2'\n'x+1/2, y+1/2, z'\n"
    )
    text = CIF.replace("_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n", "")
    contents = _read(tmp_path, text.replace("loop_", operators + "loop_", 1))
    assert contents.structure.n_sites == 8


@pytest.mark.parametrize("crystal", [rocksalt(), triclinic()])
def test_a_structure_written_by_pymatgen_comes_back(tmp_path, crystal):
    path = tmp_path / "a.cif"
    crystal.to_pymatgen().to(str(path))
    contents = read_structure(path)
    assert sorted(contents.structure.atomic_number.tolist()) == sorted(crystal.atomic_number.tolist())
    assert contents.structure.volume_angstrom3 == pytest.approx(crystal.volume_angstrom3, rel=1e-5)


def test_mixed_sites_and_vacancies_come_back(tmp_path):
    path = tmp_path / "a.cif"
    mixed().to_pymatgen().to(str(path))
    contents = read_structure(path)
    assert contents.structure.n_sites == 5
    totals = np.bincount(contents.structure.atomic_number, weights=contents.structure.occupancy)
    assert (totals[56], totals[38], totals[22], totals[8]) == pytest.approx((0.6, 0.3, 1.0, 3.0))
    assert len(contents.structure.site_index) == 6


def test_two_atoms_at_one_place_of_a_cif_are_one_mixed_site(tmp_path):
    text = CIF.replace("Na1 Na+ 0 0 0 1", "Na1 Na+ 0 0 0 0.75\nK1 K+ 0 0 0 0.25").replace(
        "'Na1 Cl1'", "'Na0.75 K0.25 Cl1'"
    )
    contents = _read(tmp_path, text)
    assert contents.structure.n_sites == 8
    assert sorted(set(contents.structure.occupancy.tolist())) == [0.25, 0.75, 1.0]


def test_occupancies_a_little_above_one_are_scaled_and_said(tmp_path):
    contents = _read(tmp_path, CIF.replace("Na+ 0 0 0 1", "Na+ 0 0 0 1.02"))
    assert contents.structure.occupancy.max() == 1.0
    assert "sum to > 1" in contents.warnings[0]


def test_deuterium_is_hydrogen(tmp_path):
    contents = _read(tmp_path, CIF.replace("Cl1 Cl-", "D1 D").replace("'Na1 Cl1'", "'Na1 D1'"))
    assert contents.formula == "NaH"
    assert sorted(set(contents.structure.atomic_number.tolist())) == [1, 11]


def test_blocks_of_a_cif_are_told_apart(tmp_path):
    second = CIF.replace("5.6402(2)", "6.2900(2)").replace("Na", "K").replace("data_KCl", "data_KCl")
    text = "data_global\n_journal_name_full 'A journal'\n" + CIF + second + CIF
    assert [name for name, _ in cif_blocks(text)] == ["NaCl", "KCl", "NaCl-2"]
    assert _read(tmp_path, text, block="KCl").formula == "KCl"
    with pytest.raises(UserError, match=r"holds 3 structures \(NaCl, KCl, NaCl-2\), expected one"):
        _read(tmp_path, text)
    with pytest.raises(UserError, match="holds no structure CsCl"):
        _read(tmp_path, text, block="CsCl")


def test_an_asymmetric_unit_written_without_symmetry_is_kept_with_a_warning(tmp_path):
    text = CIF.replace("'F m -3 m'", "'P 1'").replace("Tables_number 225", "Tables_number 1").replace("Na", "Rb")
    contents = _read(tmp_path, text.replace("5.6402", "6.5402"))
    assert contents.structure.n_sites == 2
    assert any("density is only 0.72 g/cm3: perhaps an asymmetric unit" in words for words in contents.warnings)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("_atom_site_fract_x", "_atom_site_other", "holds no atoms"),
        ("Na1 Na+ ", "Xx1 Xx ", "the atom 'Xx' names no element"),
        ("Na+ 0 0 0 1", "Na+ 0 0 0 1.5", "Occupancy 1.5 exceeded tolerance"),
        ("Na+ 0 0 0 1", "Na+ ? ? ? 1", r"a\.cif: "),
        ("_cell_length_a 5.6402(2)", "", r"a\.cif: "),
        ("_cell_length_a 5.6402(2)", "_cell_length_a 0.0001", "below threshold"),
        ("Cl1 Cl- 0.5 0.5 0.5 1", "Cl1 Cl- 0.5", r"a\.cif: "),
    ],
)
def test_a_cif_that_is_no_crystal_is_refused_in_one_sentence(tmp_path, recwarn, old, new, words):
    with pytest.raises(UserError, match=words) as caught:
        _read(tmp_path, CIF.replace(old, new))
    assert "\n" not in str(caught.value)
    assert len(recwarn) == 0


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "a.vasp", "a.poscar"])
def test_vasp_structures_are_read_under_each_of_their_names(tmp_path, name):
    contents = _read(tmp_path, POSCAR, name=name)
    assert (contents.formula, contents.structure.atomic_number.tolist()) == ("NaCl", [11, 17])
    assert contents.structure.volume_angstrom3 == pytest.approx(5.64**3 / 4)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Na Cl\n", "", "names no elements"),
        ("Na Cl", "Xx Cl", "Xx"),
        ("0.5 0.5 0.5\n", "", "a.vasp: "),
        ("5.64", "large", "a.vasp: "),
    ],
)
def test_a_damaged_poscar_is_refused(tmp_path, old, new, words):
    with pytest.raises(UserError, match=words) as caught:
        _read(tmp_path, POSCAR.replace(old, new), name="a.vasp")
    assert "\n" not in str(caught.value)


def test_the_final_structure_of_a_vasprun_is_read(tmp_path):
    with gzip.open(tmp_path / "vasprun.xml.gz", "wb") as packed, (DATA / "vasprun.xml").open("rb") as source:
        shutil.copyfileobj(source, packed)
    contents = read_structure(tmp_path / "vasprun.xml.gz")
    assert (contents.formula, contents.structure.lattice.diagonal().tolist()) == ("CsCl", [4.0, 4.0, 4.0])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"b\.cif: the file cannot be read \(No such file"):
        read_structure(tmp_path / "b.cif")
