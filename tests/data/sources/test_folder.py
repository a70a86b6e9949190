from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.base.parallel import SerialPool, processes
from matbind.data.sources import folder
from matbind.data.sources.read import read_tables
from matbind.materials.structure import structure_of
from matbind.modalities.table import value_names
from tests.factories import make_settings, mixed, rocksalt, silent
from tests.modalities.pxrd.instruments import DATA, GRID_OF_FILE, columns, counts

GRID = {"wavelength_angstrom": 1.54184, "two_theta_deg": (5.0, 90.0), "n_points": 851}
XY = columns(GRID_OF_FILE, counts(GRID_OF_FILE), header="# Wavelength = 1.5406\n")
E = np.arange(-8.0, 6.01, 0.5)
DOS = json.dumps({"energies": E.tolist(), "densities": np.ones(len(E)).tolist(), "efermi": 0.5})


def _settings(wavelength=None):
    grid = {f"prepare.pxrd.{key}": value for key, value in GRID.items()}
    return make_settings(grid | {"prepare.wavelength": wavelength}).prepare


def _read(directory, scratch, wavelength=None, **options):
    options = {"workers": SerialPool(), "log": silent} | options
    return folder.read(directory, _settings(wavelength), scratch=scratch, **options)


def _convert(directory, out, wavelength=None, **options):
    options = {"workers": SerialPool(), "log": silent} | options
    return folder.convert(directory, out, _settings(wavelength), **options)


def _salts(directory: Path, n: int) -> Path:
    """Rock salts of growing cells, each with a pattern; every fifth pattern lacks the wavelength."""
    directory.mkdir()
    cell = "0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
    for i in range(n):
        (directory / f"salt-{i:03d}.vasp").write_text(f"rock salt\n{5 + i / 100:.4f}\n{cell}")
        pattern = columns(GRID_OF_FILE, counts(GRID_OF_FILE) + i) if i % 5 == 0 else XY
        (directory / f"salt-{i:03d}.xy").write_text(pattern)
    return directory


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder as a group has it: good files, bad files and others."""
    lab = tmp_path / "lab"
    (lab / "run").mkdir(parents=True)
    shutil.copy(DATA / "rocksalt.cif", lab / "salt.cif")
    (lab / "salt.xy").write_text(XY)
    (lab / "salt.json").write_text(DOS)
    (lab / "salt.txt").write_text("Table salt.\n")
    mixed().to_pymatgen().to(str(lab / "mixed.cif"))
    shutil.copy(DATA / "powder.xrdml", lab / "mixed.xrdml")
    shutil.copy(DATA / "vasprun.xml", lab / "run" / "vasprun.xml")
    (lab / "broken.cif").write_text("data_broken\n_atom_site_fract_x 0\n")
    (lab / "broken.xy").write_text("12 nothing\n")
    (lab / "mixed.md").write_text(" \n")
    (lab / "properties.csv").write_text("material_id,band_gap\nsalt,8.5\n")
    return lab


def test_a_folder_becomes_tables(lab, tmp_path):
    lines: list[str] = []
    raw = _read(lab, tmp_path / "scratch", log=lines.append)

    assert raw.structures["material_id"].to_list() == ["mixed", "run", "salt"]
    assert raw.structures["formula"].to_list() == ["Ba0.6Sr0.3Ti1O3", "CsCl", "NaCl"]
    assert raw.structures["source"].to_list() == ["mixed.cif", "run/vasprun.xml", "salt.cif"]
    assert raw.structures["band_gap"].to_list() == [None, None, 8.5]
    rows = {row["material_id"]: row for row in raw.structures.iter_rows(named=True)}
    assert rows["salt"]["site_index"] is None
    assert structure_of(rows["salt"]).volume_angstrom3 == pytest.approx(rocksalt(5.6402).volume_angstrom3)
    assert structure_of(rows["mixed"]).occupancy.sum() == pytest.approx(4.9)
    assert raw.table("dos").select("material_id", "efermi", "n_atoms").rows() == [("run", 1.25, 2), ("salt", 0.5, None)]
    assert raw.table("text").rows() == [("salt", "Table salt.")]
    assert raw.table("pxrd")["material_id"].to_list() == ["mixed", "salt"]
    assert raw.table("pxrd")["simulated"].to_list() == [False, False]
    assert raw.table("pxrd")["wavelength_angstrom"].to_list() == pytest.approx([1.541874, 1.5406])
    pattern = raw.table("pxrd")["pattern"][1].to_numpy()
    assert (len(pattern), np.nanmax(pattern)) == (851, 1.0)
    assert np.isnan(pattern[:149]).all()
    assert np.isfinite(pattern[151:550]).all()
    left_out = {(of, modality): reason for of, modality, reason in raw.excluded.iter_rows()}
    assert set(left_out) == {("broken", "crystal"), ("broken", "pxrd"), ("mixed", "text")}
    assert left_out["broken", "pxrd"] == "broken.xy: it holds no two columns of numbers"
    assert left_out["mixed", "text"] == "mixed.md: the file is empty"
    assert str(tmp_path) not in "".join(raw.excluded["reason"])
    assert "1 of the powder patterns: wavelength 1.5406 A from the file (Wavelength = 1.5406)" in lines
    assert lines[-1] == "structures 3, dos 2, pxrd 2, text 1, excluded 3"


def test_a_measured_pattern_moves_to_the_wavelength_of_the_grid(tmp_path):
    directory = _salts(tmp_path / "salts", 1)
    raw = _read(directory, tmp_path / "scratch", wavelength="MoKa")
    pattern = raw.table("pxrd")["pattern"][0].to_numpy()
    expected = 2 * np.degrees(np.arcsin(np.sin(np.radians(28.44 / 2)) * 1.54184 / 0.71073))
    assert np.linspace(5, 90, 851)[np.nanargmax(pattern)] == pytest.approx(expected, abs=0.25)
    assert raw.table("pxrd")["note"][0] == "wavelength 0.71073 A as given (MoKa)"


def test_a_second_read_reads_nothing_again_and_finds_the_same(tmp_path, monkeypatch):
    directory = _salts(tmp_path / "salts", 6)
    first = _read(directory, tmp_path / "scratch")
    monkeypatch.setattr(folder, "_read_one", lambda _: pytest.fail("read again"))
    again = _read(directory, tmp_path / "scratch")
    assert first.structures.equals(again.structures, null_equal=True)
    assert first.excluded.equals(again.excluded)
    for name in value_names():
        assert first.table(name).equals(again.table(name), null_equal=True)
    assert len(first.excluded) == 2


def test_a_changed_file_or_option_is_read_again_and_nothing_else(tmp_path):
    directory = _salts(tmp_path / "salts", 6)
    _read(directory, tmp_path / "scratch")
    (directory / "salt-001.vasp").write_text((directory / "salt-002.vasp").read_text())
    lines: list[str] = []
    raw = _read(directory, tmp_path / "scratch", wavelength="CuKa", log=lines.append)
    assert "crystal: 1 of 1 read" in lines
    assert "pxrd: 6 of 6 read" in lines
    assert raw.structures["lattice"][1].to_list() == raw.structures["lattice"][2].to_list()
    assert raw.excluded.is_empty()


def test_failures_are_tried_again_when_asked(tmp_path):
    directory = _salts(tmp_path / "salts", 6)
    _read(directory, tmp_path / "scratch")
    lines: list[str] = []
    _read(directory, tmp_path / "scratch", retry_failed=True, log=lines.append)
    assert "pxrd: 2 of 2 read" in lines


def test_two_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "CHUNK", 2)
    directory = _salts(tmp_path / "salts", 10)
    one = _convert(directory, tmp_path / "one")
    with processes(2) as workers:
        two = _convert(directory, tmp_path / "two", workers=workers)
    assert one == two == {"structures": 10, "dos": 0, "pxrd": 8, "text": 0, "excluded": 2}
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    directory = _salts(tmp_path / "salts", 80)
    code = (
        "import sys; from pathlib import Path; from tests.data.sources.test_folder import _convert, folder\n"
        "folder.CHUNK = 4\n"
        "source, out = map(Path, sys.argv[1:])\n"
        "_convert(source, out)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(directory), str(tmp_path / "out")]
    parts = tmp_path / "out.parts" / "pxrd"
    process = subprocess.Popen(command, env=environment)
    while not list(parts.glob("part-*.parquet")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = sum(len(pl.read_parquet(part)) for part in parts.glob("part-*.parquet"))
    assert 0 < known < 80
    assert not (tmp_path / "out").exists()

    lines: list[str] = []
    _convert(directory, tmp_path / "out", log=lines.append)
    _convert(directory, tmp_path / "whole")
    assert f"pxrd: {known} of 80 are known from an earlier run" in lines
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == ["excluded.parquet", "pxrd.parquet", "structures.parquet"]
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_tables_are_a_source(lab, tmp_path):
    _convert(lab, tmp_path / "out")
    raw = read_tables(tmp_path / "out")
    assert [len(raw.structures), *(len(raw.table(name)) for name in ("dos", "text", "pxrd"))] == [3, 2, 1, 2]


def test_an_earlier_result_is_replaced_and_anything_else_is_not(lab, tmp_path):
    _convert(lab, tmp_path / "out")
    (lab / "salt.txt").unlink()
    _convert(lab, tmp_path / "out")
    assert not (tmp_path / "out" / "text.parquet").exists()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=r"out: holds mine\.txt, expected a new directory"):
        _convert(lab, tmp_path / "out")


def test_a_doubtful_structure_is_kept_and_reported(tmp_path):
    directory = tmp_path / "salts"
    directory.mkdir()
    path = directory / "salt.cif"
    text = (DATA / "rocksalt.cif").read_text().replace("5.6402", "6.6402")
    path.write_text(text.replace("'F m -3 m'", "'P 1'").replace("number 225", "number 1").replace("Na", "Rb"))
    for _ in range(2):  # what is known from an earlier run is said again
        lines: list[str] = []
        raw = _read(directory, tmp_path / "scratch", log=lines.append)
        assert len(raw.structures) == 1
        assert any(line.startswith("salt.cif: ") and "perhaps an asymmetric unit" in line for line in lines)


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ({"a.xy": XY}, {}, "holds no structure file"),
        ({"a.cif": "data_a"}, {"wavelength": "copper"}, "'copper' is unknown"),
        (
            {"a.cif": "data_a"},
            {},
            r"none of the structure files can be read; the first: a\.cif: the CIF holds no atoms",
        ),
        ({"a.cif": "data_a", "properties.csv": "b\n1\n"}, {}, "column material_id is missing"),
    ],
)
def test_a_folder_that_gives_nothing_is_refused(tmp_path, files, options, words):
    (tmp_path / "in").mkdir()
    for name, text in files.items():
        (tmp_path / "in" / name).write_text(text)
    with pytest.raises(UserError, match=words):
        _convert(tmp_path / "in", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
