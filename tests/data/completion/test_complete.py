from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.parallel import SerialPool, threads
from matbind.data.completion import work as module
from matbind.data.completion.complete import FAILED, complete, complete_directory, merged
from matbind.data.sources.raw import RawTables
from matbind.modalities.records import columns_of
from matbind.settings.complete import CompleteSettings, XtbSettings
from tests.factories import silent

PRIMITIVE = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]) / 2
SALTS = {
    "LiF": (3, 9, 4.03),
    "NaF": (11, 9, 4.63),
    "LiCl": (3, 17, 5.13),
    "NaCl": (11, 17, 5.64),
    "KCl": (19, 17, 6.29),
}
TINY = XtbSettings(supercell_atoms=2)
DOS_ONLY = CompleteSettings(text=False, dos=True, time_limit_s=60, xtb=TINY)
OLD_DOS = {"energies": [[-1.0, 0.0]], "densities": [[1.0, 2.0]], "efermi": [-0.5]}

KILLED = """
import sys
from pathlib import Path
from matbind.data.completion import work as complete_work
from matbind.data.completion.complete import complete
from matbind.base.parallel import SerialPool
from matbind.data.sources.read import read_tables
from tests.data.completion.test_complete import DOS_ONLY

complete_work.SECONDS_BETWEEN_PARTS = 0.0
complete_work.CHUNK = 1
data = Path(sys.argv[1])
complete(read_tables(data), DOS_ONLY, out=data / "out", scratch=data / "scratch", workers=SerialPool(), log=print)
"""


def row(name: str, cation: int, anion: int, edge_angstrom: float) -> dict:
    return {
        "material_id": name,
        "formula": name,
        "lattice": (PRIMITIVE * edge_angstrom).ravel().tolist(),
        "atomic_numbers": [cation, anion],
        "frac_coords": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
    }


def structures(*rows: dict) -> pl.DataFrame:
    given = list(rows) or [row(name, *values) for name, values in SALTS.items()]
    return pl.DataFrame(given, schema=columns_of("crystal"))


UNKNOWN = row("UN", 92, 7, 4.89)
NO_CRYSTAL = row("flat", 11, 17, 5.64) | {"lattice": [0.0] * 9}


@pytest.fixture
def run(tmp_path):
    """Complete tables and give the counts, the tables and what was logged."""

    def inner(raw: RawTables, settings=DOS_ONLY, *, workers=None, scratch="scratch", **options):
        lines: list[str] = []
        out = tmp_path / "out"
        counts = complete(
            raw,
            settings,
            out=out,
            scratch=tmp_path / scratch,
            workers=workers or SerialPool(),
            log=lines.append,
            **options,
        )
        tables = {path.stem: pl.read_parquet(path) for path in out.iterdir()}
        return counts, tables, lines

    return inner


def parts(scratch: Path) -> list[str]:
    return sorted(path.name for path in scratch.rglob("part-*.parquet"))


def test_what_is_missing_is_made_in_the_order_of_the_structures(run):
    raw = RawTables(structures(), {"dos": pl.DataFrame({"material_id": ["LiCl"]} | OLD_DOS)})
    counts, tables, lines = run(raw)
    made = tables["dos"]
    assert counts == {"dos": 4, "dos_failed": 0}
    assert made["material_id"].to_list() == ["LiF", "NaF", "NaCl", "KCl"]
    assert made.columns == ["material_id", "energies", "densities", "efermi", "n_atoms", "supercell", "source"]
    assert made["source"].unique().to_list() == ["GFN1-xTB, tblite 0.8.0 (matbind)"]
    assert made["n_atoms"].to_list() == [2] * 4
    assert tables["failed"].is_empty()
    assert lines[0] == "densities of states: 4 to make, the smallest cells first"
    assert lines[-1].startswith("densities of states: 4 of 4, 0 of them not possible, ")


def test_a_text_names_its_source(run):
    raw = RawTables(structures(row("NaCl", *SALTS["NaCl"])))
    counts, tables, _ = run(raw, CompleteSettings(text=True, dos=False, time_limit_s=300))
    assert counts == {"text": 1, "text_failed": 0}
    assert tables["text"]["text"][0].startswith("NaCl is Halite, Rock Salt structured and crystallizes in the cubic")
    assert tables["text"]["source"].to_list() == ["Robocrystallographer 0.2.13 (matbind)"]
    assert list(tables["dos"].columns) == list(module.COLUMNS["dos"])


def test_what_is_switched_off_is_an_empty_table(run):
    counts, tables, lines = run(RawTables(structures()), CompleteSettings(text=False, dos=False, time_limit_s=1))
    assert (counts, lines) == ({}, [])
    assert {name: len(table) for name, table in tables.items()} == {"text": 0, "dos": 0, "failed": 0}


def test_what_cannot_be_made_is_listed_with_the_reason_and_the_rest_made(run):
    raw = RawTables(structures(UNKNOWN, row("NaCl", *SALTS["NaCl"]), NO_CRYSTAL))
    counts, tables, _ = run(raw)
    assert counts == {"dos": 1, "dos_failed": 2}
    assert [row[:2] for row in tables["failed"].rows()] == [("UN", "dos"), ("flat", "dos")]
    assert "Atomic number 92 is unknown to GFN1-xTB" in tables["failed"]["reason"][0]
    assert tables["failed"]["reason"][1].startswith("lattice is singular")


def test_a_second_run_calculates_nothing_and_changes_nothing(run, tmp_path):
    raw = RawTables(structures(UNKNOWN, row("NaCl", *SALTS["NaCl"])))
    _, first, _ = run(raw)
    kept = parts(tmp_path)
    _, second, lines = run(raw)
    assert lines == ["densities of states: 0 to make, the smallest cells first, 2 known from before"]
    assert parts(tmp_path) == kept
    assert all(first[name].equals(second[name]) for name in first)


def test_failures_are_tried_again_only_when_asked(run):
    raw = RawTables(structures(UNKNOWN, row("NaCl", *SALTS["NaCl"])))
    run(raw)
    _, _, lines = run(raw, retry_failed=True)
    assert lines[0] == "densities of states: 1 to make, the smallest cells first, 1 known from before"


def test_other_settings_and_other_cells_are_calculated_anew(run):
    run(RawTables(structures()))
    _, _, lines = run(RawTables(structures()), DOS_ONLY.model_copy(update={"xtb": XtbSettings(supercell_atoms=1)}))
    assert lines[0] == "densities of states: 5 to make, the smallest cells first"
    changed = [row(name, z, x, edge + 0.1 * (name == "KCl")) for name, (z, x, edge) in SALTS.items()]
    _, _, lines = run(RawTables(structures(*changed)))
    assert lines[0].startswith("densities of states: 5 to make")  # the later row of a material is the one that counts


def test_several_workers_make_the_same_tables(run):
    _, alone, _ = run(RawTables(structures()))
    with threads(2) as workers:
        _, together, _ = run(RawTables(structures()), workers=workers, scratch="other")
    assert alone["dos"].equals(together["dos"])


def test_a_structure_over_the_time_limit_has_none(run):
    raw = RawTables(structures(row("NaCl", *SALTS["NaCl"])))
    counts, tables, _ = run(raw, DOS_ONLY.model_copy(update={"time_limit_s": 0.001}))
    assert counts == {"dos": 0, "dos_failed": 1}
    assert tables["failed"]["reason"].to_list() == ["It took longer than 0.001 s."]


def test_after_a_kill_the_run_goes_on_with_the_same_result(tmp_path):
    structures().write_parquet(tmp_path / "structures.parquet")
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not parts(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(parts(tmp_path))
    assert not (tmp_path / "out").exists()

    lines: list[str] = []
    raw = RawTables(structures())
    options = {"workers": SerialPool(), "log": lines.append}
    complete(raw, DOS_ONLY, out=tmp_path / "out", scratch=tmp_path / "scratch", **options)
    complete(raw, DOS_ONLY, out=tmp_path / "whole", scratch=tmp_path / "other", **options)

    assert lines[0].endswith(f"{5 - before} to make, the smallest cells first, {before} known from before")
    table, whole = (pl.read_parquet(tmp_path / name / "dos.parquet") for name in ("out", "whole"))
    assert len(table) == 5
    assert table.equals(whole)


def test_an_interrupted_run_keeps_its_answers_and_leaves_no_tables(tmp_path, monkeypatch):
    def interrupt(sentence: str) -> None:
        if " of 5," in sentence:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "SECONDS_BETWEEN_PARTS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        complete(
            RawTables(structures()),
            DOS_ONLY,
            out=tmp_path / "out",
            scratch=tmp_path / "scratch",
            workers=SerialPool(),
            log=interrupt,
        )
    assert not (tmp_path / "out").exists()
    assert parts(tmp_path) == ["part-000000.parquet"]


def test_a_directory_is_completed_in_place_and_keeps_what_it_has(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    structures(row("NaCl", *SALTS["NaCl"]), row("KCl", *SALTS["KCl"]), UNKNOWN).write_parquet(
        data / "structures.parquet"
    )
    old = pl.DataFrame({"material_id": ["KCl"], "remark": ["measured"]} | OLD_DOS)
    old.write_parquet(data / "dos.parquet")
    options = {"scratch": tmp_path / "scratch", "workers": SerialPool(), "log": silent}

    assert complete_directory(data, "dos", **options) == {"dos": 1, "dos_failed": 1}

    whole = pl.read_parquet(data / "dos.parquet")
    assert whole.select("material_id", "remark", "source", "n_atoms").rows() == [
        ("NaCl", None, "GFN1-xTB, tblite 0.8.0 (matbind)", 2),
        ("KCl", "measured", None, None),
    ]
    assert whole.filter(material_id="KCl")["densities"].to_list() == [[1.0, 2.0]]
    assert pl.read_parquet(tmp_path / "scratch" / FAILED)["material_id"].to_list() == ["UN"]
    assert sorted(path.name for path in data.iterdir()) == ["dos.parquet", "structures.parquet"]

    complete_directory(data, "dos", **options)
    assert pl.read_parquet(data / "dos.parquet").equals(whole)


def test_rows_without_a_structure_come_last():
    brought = pl.DataFrame({"material_id": ["x", "b"], "text": ["X.", "B."]})
    made = pl.DataFrame({"material_id": ["a"], "text": ["A."], "source": ["matbind"]})
    table = merged(brought, made, pl.Series(["a", "b"]))
    assert table.rows() == [("a", "A.", "matbind"), ("b", "B.", None), ("x", "X.", None)]
