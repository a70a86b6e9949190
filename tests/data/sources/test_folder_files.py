from __future__ import annotations

import gzip
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.base.parallel import SerialPool
from matbind.data.sources import folder
from matbind.data.sources.folder_files import list_contents
from matbind.modalities import table
from tests.factories import make_settings, silent
from tests.modalities.pxrd.instruments import DATA, GRID_OF_FILE, columns, counts

CIF = (DATA / "rocksalt.cif").read_text()
ANGLES = columns(GRID_OF_FILE, counts(GRID_OF_FILE))
ENERGIES = columns(GRID_OF_FILE - 30, counts(GRID_OF_FILE), header="# efermi = 1.0\n# energy dos\n")


def _listed(directory, **files):
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    contents = list_contents(directory)
    return [(source.material_id, source.modality, source.path) for source in contents.sources], contents


def test_files_of_one_name_are_one_material_wherever_they_lie(tmp_path):
    sources, contents = _listed(
        tmp_path,
        **{
            "b/x.1.cif": CIF,
            "b/x.1.xy": ANGLES,
            "b/x.1.json": '{"energies": []}',
            "b/x.1.md": "Salt.",
            "a.vasp": "",
            "a.txt": "Not salt.",
            "image.png": b"\x89PNG",
            ".hidden.cif": CIF,
            ".git/c.cif": CIF,
        },
    )
    assert sources == [
        ("a", "crystal", "a.vasp"),
        ("b/x.1", "crystal", "b/x.1.cif"),
        ("b/x.1", "dos", "b/x.1.json"),
        ("b/x.1", "pxrd", "b/x.1.xy"),
        ("a", "text", "a.txt"),
        ("b/x.1", "text", "b/x.1.md"),
    ]
    assert contents.excluded == []
    assert contents.ignored == {".png": 1}


@pytest.mark.parametrize(
    ("name", "content", "modality"),
    [
        ("a.txt", "A blue powder, ground for 5 minutes.", "text"),
        ("a.txt", ANGLES, "pxrd"),
        ("a.txt", "2theta\tcounts\n" + ANGLES, "pxrd"),
        ("a.txt", ENERGIES, "dos"),
        ("a.csv", ANGLES, "pxrd"),
        ("a.dat", "# Cu Ka, 40 kV\n" + ANGLES, "pxrd"),
        ("a.csv", ENERGIES, "dos"),
        ("a.dat", (DATA / "qe.dat").read_text(), "dos"),
        ("a.dat.gz", gzip.compress(ENERGIES.encode(), mtime=0), "dos"),
        ("a.dos.csv", ANGLES, "dos"),
        ("a.xrd.csv", ENERGIES, "pxrd"),
        ("a.pxrd.txt", "words", "pxrd"),
        ("a.XRDML", "<a/>", "pxrd"),
        ("a.xrd.cif", CIF, "pxrd"),
        ("a.json", '{"two_theta_deg": []}', "pxrd"),
        ("a/vasprun.xml", "<a/>", "dos"),
        ("a.vasprun.xml.gz", gzip.compress(b"<a/>", mtime=0), "dos"),
    ],
)
def test_what_a_file_holds_is_told_by_name_and_content(tmp_path, name, content, modality):
    sources, _ = _listed(tmp_path, **{"a.cif": CIF, name: content})
    assert sources == [("a", "crystal", "a.cif"), ("a", modality, name)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.csv",
            columns(GRID_OF_FILE - 30, GRID_OF_FILE),
            "none of dos, pxrd; name the file a.dos.csv if it is dos, a.xrd.csv if",
        ),
        (
            "a.dat",
            "# energy dos\n# 2theta counts\n" + ANGLES,
            "dos and pxrd; name the file a.dos.dat if it is dos, a.xrd.dat if",
        ),
        ("a.csv", "some words", "none of dos, pxrd"),
        ("a.txt", b"\x00\x01\x02", "binary"),
        ("a.cif.gz", b"no gzip", "not a whole gzip"),
    ],
)
def test_what_cannot_be_told_is_listed_with_the_reason(tmp_path, name, content, words):
    _, contents = _listed(tmp_path, **{"b.cif": CIF, name: content})
    ((material_id, _, reason),) = contents.excluded
    assert material_id == "a"
    assert reason.startswith(f"{name}: ")
    assert words in reason


def test_of_files_for_the_same_one_is_read_and_the_others_are_listed(tmp_path):
    files = {"a.cif": CIF, "a.vasp": "", "a.xy": ANGLES, "a.xrdml": "<a/>", "a.txt": "one", "a.md": "two"}
    sources, contents = _listed(tmp_path, **files)
    assert [path for _, _, path in sources] == ["a.cif", "a.xrdml", "a.txt"]
    assert contents.excluded == [
        ("a", "crystal", "a.vasp: not read, as a.cif holds the same of this material"),
        ("a", "pxrd", "a.xy: not read, as a.xrdml holds the same of this material"),
        ("a", "text", "a.md: not read, as a.txt holds the same of this material"),
    ]


def test_a_folder_of_a_calculation_is_one_material(tmp_path):
    sources, contents = _listed(tmp_path, **{"run/POSCAR": "", "run/CONTCAR": "", "run/vasprun.xml": "<a/>"})
    assert sources == [("run", "crystal", "run/CONTCAR"), ("run", "dos", "run/vasprun.xml")]
    assert [reason.partition(":")[0] for _, _, reason in contents.excluded] == ["run/POSCAR"]
    (tmp_path / "run/CONTCAR").unlink()
    (tmp_path / "run/POSCAR").unlink()
    assert _listed(tmp_path)[0] == [("run", "crystal", "run/vasprun.xml"), ("run", "dos", "run/vasprun.xml")]


def test_a_cif_of_several_structures_makes_a_material_of_each(tmp_path):
    text = CIF + CIF.replace("data_NaCl", "data_other/one")
    sources, contents = _listed(tmp_path, **{"a.cif": text, "a#NaCl.xy": ANGLES, "a.xy": ANGLES})
    assert [(of, modality) for of, modality, _ in sources] == [
        ("a#NaCl", "crystal"),
        ("a#other_one", "crystal"),
        ("a#NaCl", "pxrd"),
    ]
    assert contents.excluded == [("a", "pxrd", "a.xy: a.cif holds several structures, name the file a#NAME")]


def test_a_cif_may_hold_a_pattern_or_both(tmp_path):
    powder = (DATA / "powder.cif").read_text()
    sources, _ = _listed(
        tmp_path, **{"a.vasp": "", "a.cif": powder, "b.cif": CIF + powder, "c.cif": CIF + powder, "c.xy": ANGLES}
    )
    assert sources == [
        ("a", "crystal", "a.vasp"),
        ("b", "crystal", "b.cif"),
        ("c", "crystal", "c.cif"),
        ("a", "pxrd", "a.cif"),
        ("b", "pxrd", "b.cif"),
        ("c", "pxrd", "c.xy"),
    ]


def test_files_without_a_structure_are_listed(tmp_path):
    _, contents = _listed(tmp_path, **{"a.cif": CIF, "b.xy": ANGLES, "README.md": "Read me."})
    assert contents.excluded == [
        ("b", "pxrd", "b.xy: no structure file of this name (b.cif, .vasp ...) is beside it"),
        ("README", "text", "README.md: no structure file of this name (README.cif, .vasp ...) is beside it"),
    ]


def test_a_link_to_nothing_stops_nothing(tmp_path):
    (tmp_path / "b.xrdml").symlink_to(tmp_path / "gone")
    sources, contents = _listed(tmp_path, **{"a.cif": CIF})
    assert sources == [("a", "crystal", "a.cif")]
    assert contents.excluded == [("b", "pxrd", "b.xrdml: the file cannot be read (No such file or directory)")]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        list_contents(tmp_path / "nowhere")


def test_a_modality_of_a_new_folder_is_listed_by_its_own_endings(tmp_path, monkeypatch):
    def row(path, *, records, wavelength, block):
        return {"shift": float(path.read_text())}

    settings = make_settings().prepare
    files = SimpleNamespace(SUFFIXES=(".nmr", ".cif"), QUALIFIERS=(), COLUMNS={"shift": pl.Float64}, row=row)
    files.likeness = lambda path: float("_nmr_shift" in path.read_text())
    records = SimpleNamespace(TABLE="nmr", NOUN="spectra", COLUMNS={"material_id": pl.String, "shift": pl.Float64})
    monkeypatch.setitem(table.TABLE, "nmr", "tests.nmr")
    for part, module in {"files": files, "records": records}.items():
        monkeypatch.setitem(sys.modules, f"tests.nmr.{part}", module)

    sources, contents = _listed(tmp_path, **{"a.cif": CIF, "a.nmr": "1.5", "b.cif": CIF + "_nmr_shift 2", "c.nmr": "3"})

    values = [source for source in sources if source[1] != "crystal"]
    assert values == [("a", "nmr", "a.nmr"), ("b", "nmr", "b.cif")]
    assert [material_id for material_id, _, _ in contents.excluded] == ["c"]
    (tmp_path / "b.cif").unlink()
    raw = folder.read(tmp_path, settings, scratch=tmp_path / ".parts", workers=SerialPool(), log=silent)
    assert raw.table("nmr").rows() == [("a", 1.5)]
