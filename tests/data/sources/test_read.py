from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.base.parallel import SerialPool
from matbind.data.sources.raw import EXCLUDED, RawTables, with_completed
from matbind.data.sources.read import read_source, read_tables
from matbind.modalities.records import columns_of
from matbind.modalities.table import value_names
from matbind.settings.prepare import PrepareSettings
from tests.factories import DATA, make_settings, needs_sample

POSCAR = "salt\n1.0\n5.64 0 0\n0 5.64 0\n0 0 5.64\nNa Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"


def _settings(source: str, directory: Path) -> PrepareSettings:
    return make_settings({"prepare.source": source, "prepare.data": str(directory)}).prepare


def _table(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    structure = {
        "material_id": ["m-1"],
        "formula": ["NaCl"],
        "lattice": [[5.64, 0.0, 0.0, 0.0, 5.64, 0.0, 0.0, 0.0, 5.64]],
        "atomic_numbers": [[11, 17]],
        "frac_coords": [[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]],
    }
    pl.DataFrame(structure).write_parquet(directory / "structures.parquet")


def _read(source: str, directory: Path, lines: list[str]) -> RawTables:
    scratch = directory.with_name("scratch")
    return read_source(_settings(source, directory), scratch=scratch, workers=SerialPool(), log=lines.append)


def test_tables_come_with_the_list_of_what_their_maker_could_not_get(tmp_path: Path) -> None:
    _table(tmp_path / "data")
    lost = [("m-2", "dos", "the server did not answer")]
    pl.DataFrame(lost, schema=EXCLUDED, orient="row").write_parquet(tmp_path / "data/failed.parquet")

    raw = _read("tables", tmp_path / "data", [])

    assert raw.structures["material_id"].to_list() == ["m-1"]
    assert raw.excluded.rows() == lost


def test_a_folder_is_read_onto_the_grid_of_the_settings(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "salt.vasp").write_text(POSCAR)
    rows = "\n".join(f"{5 + 0.1 * i:.2f} {1 + (i == 300)}" for i in range(800))
    (folder / "salt.xy").write_text(f"# Wavelength = 1.5406\n{rows}\n")

    raw = _read("folder", folder, [])

    assert raw.structures["formula"].to_list() == ["NaCl"]
    assert raw.table("pxrd")["pattern"].list.len().to_list() == [make_settings().prepare.pxrd.n_points]


def test_a_download_that_is_not_finished_names_the_command_that_goes_on(tmp_path: Path) -> None:
    _table(tmp_path / "data")

    with pytest.raises(UserError, match=r"source\.json: the file does not exist.*matbind data materials-project"):
        _read("materials-project", tmp_path / "data", [])


def test_a_download_says_its_version_and_what_is_missing(tmp_path: Path) -> None:
    _table(tmp_path / "data")
    lines: list[str] = []
    source = {"database_version": "2025.9.25", "date": "2026-11-01", "complete": False, "counts": {"failed": 3}}
    write_json(tmp_path / "data/source.json", source)

    raw = _read("materials-project", tmp_path / "data", lines)

    assert len(raw.structures) == 1
    assert lines[0] == "Materials Project 2025.9.25, downloaded on 2026-11-01"
    assert lines[1].startswith("3 values failed")


def test_what_was_made_joins_what_the_source_brought(tmp_path: Path) -> None:
    structures = pl.DataFrame({"material_id": ["a", "b"]})
    raw = RawTables(structures, {"text": pl.DataFrame({"material_id": ["b"], "text": ["brought"]})})
    made = {"material_id": ["a"], "text": ["made"], "source": ["Robocrystallographer"]}
    pl.DataFrame(made).write_parquet(tmp_path / "text.parquet")
    raw.table("dos").write_parquet(tmp_path / "dos.parquet")

    completed = with_completed(raw, tmp_path)

    assert completed.table("text").rows() == [("a", "made", "Robocrystallographer"), ("b", "brought", None)]
    assert completed.table("dos").is_empty()


def test_tables_that_are_not_there_are_empty(tmp_path: Path) -> None:
    _table(tmp_path)
    raw = read_tables(tmp_path)
    assert raw.structures["material_id"].to_list() == ["m-1"]
    assert [len(raw.table(name)) for name in value_names()] == [0, 0, 0]
    assert list(raw.table("dos").columns) == list(columns_of("dos"))


def test_a_directory_without_structures_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"structures\.parquet: the file does not exist"):
        read_tables(tmp_path)


def test_a_broken_second_table_is_named(tmp_path: Path) -> None:
    _table(tmp_path)
    (tmp_path / "text.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"text\.parquet: this is not a whole Parquet file"):
        read_tables(tmp_path)


@needs_sample
def test_the_embedded_sample_has_the_counts_of_its_readme() -> None:
    raw = read_tables(DATA)
    assert [len(raw.structures), *(len(raw.table(name)) for name in ("text", "dos", "pxrd"))] == [6051, 6048, 4838, 0]
