from __future__ import annotations

import json

import numpy as np
import pytest
from pymatgen.electronic_structure.core import Spin
from pymatgen.electronic_structure.dos import CompleteDos, Dos

from matbind.base.errors import UserError
from matbind.modalities.dos.files import read_dos
from tests.factories import rocksalt
from tests.modalities.pxrd.instruments import DATA

E = np.arange(-8.0, 6.01, 0.5)
D = 1.0 + np.arange(len(E)) % 3


def _read(tmp_path, content, *, name="a.csv"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_dos(path)


def _table(header, *columns, separator=","):
    return header + "\n" + "\n".join(separator.join(f"{v:.6f}" for v in row) for row in zip(*columns, strict=True))


def _assert_as_written(contents, *, energies=E, densities=D, efermi=1.25):
    np.testing.assert_allclose(contents.dos.energies_ev, energies, atol=1e-5)
    np.testing.assert_allclose(contents.dos.densities, densities, atol=1e-5)
    assert contents.dos.efermi_ev == pytest.approx(efermi)


def _plain(**values):
    return {"energies": E.tolist(), "densities": D.tolist(), "efermi": 1.25} | values


def test_plain_json_is_read(tmp_path):
    contents = _read(tmp_path, _plain(n_atoms=8), name="a.json")
    _assert_as_written(contents)
    assert contents.n_atoms == 8


def test_spins_are_added(tmp_path):
    contents = _read(tmp_path, _plain(densities={"1": D.tolist(), "-1": (2 * D).tolist()}), name="a.json")
    _assert_as_written(contents, densities=3 * D)
    assert contents.note == "2 spins added"


def test_what_pymatgen_writes_is_read(tmp_path):
    total = Dos(1.25, E, {Spin.up: D, Spin.down: D})
    _assert_as_written(_read(tmp_path, total.as_dict(), name="a.json"), densities=2 * D)
    crystal = rocksalt().to_pymatgen()
    complete = CompleteDos(crystal, total, {site: {} for site in crystal})
    contents = _read(tmp_path, json.loads(json.dumps(complete.as_dict())), name="b.json")
    _assert_as_written(contents, densities=2 * D)
    assert contents.n_atoms == 8


def test_energies_are_sorted(tmp_path):
    _assert_as_written(_read(tmp_path, _plain(energies=E[::-1].tolist(), densities=D[::-1].tolist()), name="a.json"))


@pytest.mark.parametrize(
    "header",
    [
        "# efermi = 1.25\nenergy,dos",
        "# E-fermi :   1.25\nenergy (eV),total dos",
        "# Fermi energy: 1.25 eV\nE,DOS",
        "# E_F = 0.0918733 Ry\nE,density",
        "energy,dos,int dos EFermi = 1.25",
    ],
)
def test_a_table_says_its_fermi_energy_in_the_header(tmp_path, header):
    columns = (E, D, np.abs(E)) if "int dos" in header else (E, D)
    _assert_as_written(_read(tmp_path, _table(header, *columns)))


def test_what_a_plane_wave_code_writes_is_read():
    contents = read_dos(DATA / "qe.dat")
    assert (contents.dos.efermi_ev, len(contents.dos.energies_ev)) == (1.25, 41)
    assert contents.dos.densities[16] == 4.0  # at -4 eV, and not its integral


@pytest.mark.parametrize("name", ["E-E_F", "E - Ef (eV)", "energy-efermi", "E\u2212E_F"])
def test_energies_relative_to_the_fermi_energy_are_understood(tmp_path, name):
    _assert_as_written(_read(tmp_path, _table(f"{name},dos", E, D)), efermi=0.0)


def test_columns_of_two_spins_are_added_even_if_one_is_drawn_downwards(tmp_path):
    contents = _read(tmp_path, _table("# efermi = 1.25\nenergy,dos up,dos down", E, D, -D))
    _assert_as_written(contents, densities=2 * D)


@pytest.mark.parametrize(("unit", "ev"), [("Ry", 13.605693123), ("Hartree", 27.211386246)])
def test_other_units_are_converted_when_the_header_names_them(tmp_path, unit, ev):
    contents = _read(tmp_path, _table(f"# efermi = 0.1\nenergy ({unit}),dos", E / 10, D))
    _assert_as_written(contents, energies=E / 10 * ev, densities=D / ev, efermi=0.1 * ev)


def test_vasprun_is_read():
    contents = read_dos(DATA / "vasprun.xml")
    assert (contents.dos.efermi_ev, contents.n_atoms, contents.note) == (1.25, 2, "2 spins added")
    assert contents.dos.densities.max() == 8.0


@pytest.mark.parametrize(
    ("keep", "words"),
    [(0.5, "not whole XML"), (0.99, "not whole XML"), (0.0, "the file is empty")],
)
def test_a_cut_off_vasprun_is_refused(tmp_path, keep, words):
    text = (DATA / "vasprun.xml").read_text()
    with pytest.raises(UserError, match=words):
        _read(tmp_path, text[: int(keep * len(text))], name="vasprun.xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<a></a>", "no vasprun.xml"),
        ("<modeling></modeling>", "cannot be understood"),
        (
            (DATA / "vasprun.xml").read_text().replace("<dos>", "<other>").replace("</dos>", "</other>"),
            "holds no density",
        ),
    ],
)
def test_a_vasprun_without_what_is_needed_is_refused(tmp_path, content, words):
    with pytest.raises(UserError, match=words) as caught:
        _read(tmp_path, content, name="vasprun.xml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no valid JSON"),
        ([1, 2], "found list, expected a JSON object with energies, densities, efermi"),
        (_plain(efermi=None), "efermi is missing"),
        (_plain(efermi="high"), "are no numbers"),
        (_plain(densities=D[1:].tolist()), "expected equal lengths"),
        (_plain(densities=[[1.0, 2.0], [1.0]]), "are no numbers"),
        (_plain(densities={}), "expected equal lengths"),
        (_plain(densities=(0 * D).tolist()), "all zero"),
        (_plain(efermi=60.0), "Fermi energy 60 eV lies beyond the energies from -8 to 6"),
        (_plain(energies=[0.0, *E[1:].tolist()]), "stands more than once"),
        (_plain(energies=E[:5].tolist(), densities=D[:5].tolist()), "holds 5 energies, expected at least 10"),
        (_plain(densities=[float("nan"), *D[1:].tolist()]), "not finite"),
        (_plain(n_atoms="two"), "n_atoms is 'two'"),
    ],
)
def test_json_that_is_no_dos_is_refused(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, content, name="a.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_table("energy,dos", E, D), "names no Fermi energy; write a line such as"),
        (_table("# efermi = 1.25", E, D, D), "3 columns have no names"),
        (_table("# efermi = 1.25\nenergy,s,p", E, D, D), "do not say which holds the total"),
        (_table("# efermi = 1.25\nenergy,dos", E, D).replace("-4.0", "low", 1), "holds 'low"),
    ],
)
def test_a_table_that_leaves_something_open_is_refused(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, content)
