from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import yaml

from matbind.base.errors import UserError
from matbind.base.parallel import processes
from matbind.data import prepare as stage
from matbind.data.prepare import prepare
from matbind.materials.diffraction import simulate_pattern
from matbind.modalities.records import Records
from tests.factories import make_settings, raw_settings, silent

N = 36
PROGRAM = """
import sys
from pathlib import Path
from matbind.data import prepare as stage
from matbind.base.parallel import processes
from matbind.settings.load import load

def log(sentence):
    print(sentence, flush=True)
    if sentence.startswith("powder patterns"):
        sys.stdin.readline()

if __name__ == "__main__":
    stage.CHUNK = 8
    with processes(2) as workers:
        stage.prepare(load(Path(sys.argv[1])), out=Path(sys.argv[2]), log=log, workers=workers)
"""
ELEMENTS = list(range(20, 20 + N))


def structures(n: int = N) -> pl.DataFrame:
    """Cubic crystals of one element each, a different one and a different cell."""
    return pl.DataFrame(
        {
            "material_id": [f"m-{i}" for i in range(n)],
            "formula": [f"X{z}" for z in ELEMENTS[:n]],
            "lattice": [(np.eye(3) * (3 + 0.02 * i)).ravel().tolist() for i in range(n)],
            "atomic_numbers": [[z] for z in ELEMENTS[:n]],
            "frac_coords": [[0.0, 0.0, 0.0]] * n,
        }
    )


def replaced(frame: pl.DataFrame, at: int, **values) -> pl.DataFrame:
    rows = frame.to_dicts()
    rows[at] |= values
    return pl.DataFrame(rows, schema=frame.schema)


def dos_of(*ids: str) -> pl.DataFrame:
    n = len(ids)
    return pl.DataFrame(
        {"material_id": ids, "energies": [[0.0, 1.0]] * n, "densities": [[1.0, 1.0]] * n, "efermi": [0.5] * n}
    )


@pytest.fixture
def run(tmp_path):
    """Write tables, prepare them, and give the counts, the records and the exclusions."""

    def inner(overrides=None, **tables):
        data = tmp_path / "data"
        data.mkdir()
        for name, frame in ({"structures": structures()} | tables).items():
            frame.write_parquet(data / f"{name}.parquet")
        settings = {"prepare.data": str(data), "prepare.limit": None, "prepare.split": {"validation": 0.1, "test": 0.2}}
        counts = prepare(make_settings(settings | (overrides or {})), out=tmp_path / "records", log=silent)
        return counts, Records(tmp_path / "records"), pl.read_parquet(tmp_path / "records" / "excluded.parquet").rows()

    return inner


def test_a_sound_data_set_is_kept_whole(run):
    counts, records, excluded = run(
        dos=dos_of("m-3", "m-7"), text=pl.DataFrame({"material_id": ["m-1"], "text": ["Cu."]})
    )
    assert {key: counts[key] for key in ("materials", "dos", "text", "pxrd", "excluded")} == {
        "materials": 36,
        "dos": 2,
        "text": 1,
        "pxrd": 36,
        "excluded": 0,
    }
    assert counts["train"] + counts["validation"] + counts["test"] == 36
    assert excluded == []
    assert len(list(records.materials())) == 36


def test_patterns_are_simulated_with_a_size_drawn_from_the_id(run):
    _, records, _ = run()
    material = next(records.materials())
    pattern = material.values["pxrd"]
    assert pattern.simulated
    size = np.exp(np.random.default_rng([0, *b"m-0"]).uniform(*np.log([20.0, 100.0])))
    np.testing.assert_array_equal(pattern.intensity, simulate_pattern(material.structure, crystallite_size_nm=size))


def test_atoms_that_overlap_are_excluded_with_their_distance(run):
    bad = replaced(structures(), 4, atomic_numbers=[24, 24], frac_coords=[0.0, 0.0, 0.0, 0.0, 0.0, 0.1])
    counts, records, excluded = run(structures=bad, dos=dos_of("m-4", "m-5"))
    assert excluded == [("m-4", "crystal", "two atoms are 0.308 angstrom apart, expected at least 0.5")]
    assert (counts["materials"], counts["dos"], counts["excluded"]) == (35, 1, 1)
    assert "m-4" not in records.structures["material_id"].to_list()


def test_two_atoms_on_one_place_are_excluded(run):
    _, _, excluded = run(structures=replaced(structures(), 0, atomic_numbers=[20, 20], frac_coords=[0.0] * 6))
    assert excluded[0][2].startswith("two atoms are 0.000 angstrom apart")


def test_a_lonely_atom_is_no_overlap(run):
    counts, _, excluded = run(structures=replaced(structures(), 0, lattice=(np.eye(3) * 20).ravel().tolist()))
    assert excluded == []
    assert counts["materials"] == 36


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lattice": [0.0] * 9}, "lattice is singular"),
        ({"lattice": [1.0] * 3}, "lattice has 3 numbers, expected 9"),
        ({"lattice": None}, "lattice has 1 numbers, expected 9"),
        ({"frac_coords": [0.0, None, 0.0]}, "frac_coords holds a value that is not finite"),
        ({"atomic_numbers": None}, ""),
        ({"atomic_numbers": [0]}, "atomic_number 0 is not between 1 and 118"),
        ({"formula": None}, "column formula holds no value"),
    ],
)
def test_a_structure_that_is_no_crystal_is_excluded_and_the_rest_kept(run, values, reason):
    counts, _, excluded = run(structures=replaced(structures(), 9, **values))
    assert [row[:2] for row in excluded] == [("m-9", "crystal")]
    assert excluded[0][2].startswith(reason)
    assert counts["materials"] == 35


def test_an_element_without_a_form_factor_costs_its_pattern_only(run):
    counts, _, excluded = run(structures=replaced(structures(), 2, atomic_numbers=[105]))
    assert excluded == [("m-2", "pxrd", "Atomic number 105 has no X-ray form factor; they are known up to 98.")]
    assert (counts["materials"], counts["pxrd"]) == (36, 35)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("dos", dos_of("m-1", "stranger")),
        ("text", pl.DataFrame({"material_id": ["m-1", "stranger"], "text": ["Cu.", "Ag."]})),
        (
            "pxrd",
            pl.DataFrame({"material_id": ["m-1", "stranger"], "pattern": [[1.0] * 8501] * 2, "simulated": [False] * 2}),
        ),
    ],
)
def test_a_value_without_a_structure_is_counted(run, name, table):
    counts, _, excluded = run(**{name: table})
    assert excluded == [("stranger", name, "no structure has this material_id")]
    assert counts["excluded"] == 1


def test_a_row_that_lacks_a_value_is_counted(run):
    counts, _, excluded = run(
        dos=replaced(dos_of("m-1", "m-2"), 1, efermi=None),
        text=pl.DataFrame(
            {"material_id": ["m-3"], "text": [None]}, schema={"material_id": pl.String, "text": pl.String}
        ),
    )
    assert excluded == [("m-2", "dos", "column efermi holds no value"), ("m-3", "text", "column text holds no value")]
    assert (counts["dos"], counts["text"]) == (1, 0)


def test_tables_get_the_order_of_the_structures(run, monkeypatch):
    monkeypatch.setattr(stage, "CHUNK", 8)
    ids = [f"m-{i}" for i in (30, 2, 17, 16, 5)]
    _, records, _ = run(dos=dos_of(*ids), text=pl.DataFrame({"material_id": ids, "text": ids}))
    for name in ("dos", "text"):
        assert records.table(name)["material_id"].to_list() == ["m-2", "m-5", "m-16", "m-17", "m-30"]
    assert records.table("text")["text"].to_list() == ["m-2", "m-5", "m-16", "m-17", "m-30"]


def test_a_measured_pattern_is_kept_as_it_is(run):
    measured = np.linspace(0, 1, 8501, dtype=np.float32)
    _, records, _ = run(pxrd=pl.DataFrame({"material_id": ["m-3"], "pattern": [measured], "simulated": [False]}))
    pattern = list(records.materials())[3].values["pxrd"]
    assert not pattern.simulated
    np.testing.assert_array_equal(pattern.intensity, measured)


def test_a_pattern_on_another_grid_is_left_out(run):
    counts, records, excluded = run(
        pxrd=pl.DataFrame({"material_id": ["m-3"], "pattern": [[1.0] * 4000], "simulated": [False]})
    )
    assert excluded == [("m-3", "pxrd", "the pattern has 4000 points, expected 8501 (prepare.pxrd.n_points)")]
    assert counts["pxrd"] == 35
    assert "pxrd" not in list(records.materials())[3].values


def test_a_limit_takes_materials_from_all_over_the_file(run):
    many = pl.concat(
        [
            structures().with_columns(pl.format("{}-{}", pl.lit(part), "material_id").alias("material_id"))
            for part in range(3)
        ]
    )
    counts, records, _ = run({"prepare.limit": 30}, structures=many)
    assert counts["materials"] == 30
    assert {name[0] for name in records.structures["material_id"]} == {"0", "1", "2"}


def test_no_formula_is_on_two_sides(run):
    doubled = structures().with_columns(pl.Series("formula", [f"X{i // 3}" for i in range(N)]))
    _, records, _ = run(structures=doubled)
    assert records.structures.group_by("formula").agg(pl.col("split").n_unique())["split"].max() == 1


def test_too_few_materials_are_refused(run):
    with pytest.raises(UserError, match=r"3 materials are too few to split, (train|validation|test) would be empty"):
        run({"prepare.split": {"validation": 0.01, "test": 0.4}}, structures=structures(3))


def test_a_missing_column_is_one_sentence_and_leaves_no_records(run, tmp_path):
    with pytest.raises(UserError, match=r"structures\.parquet: column lattice is missing"):
        run(structures=structures().drop("lattice"))
    assert not (tmp_path / "records").exists()


def test_an_interrupted_run_leaves_no_records(tmp_path, run):
    def interrupt(sentence: str) -> None:
        if sentence.startswith("powder patterns"):
            raise KeyboardInterrupt

    data = tmp_path / "data"
    data.mkdir()
    structures().write_parquet(data / "structures.parquet")
    settings = make_settings({"prepare.data": str(data), "prepare.limit": None})
    with pytest.raises(KeyboardInterrupt):
        prepare(settings, out=tmp_path / "records", log=interrupt)
    assert not (tmp_path / "records").exists()


def with_faults() -> pl.DataFrame:
    """Structures of which one is no crystal and one has no pattern."""
    bad = replaced(structures(), 4, atomic_numbers=[24, 24], frac_coords=[0.0, 0.0, 0.0, 0.0, 0.0, 0.1])
    return replaced(bad, 20, atomic_numbers=[105])


def content(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_processes_write_the_same_files_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "CHUNK", 7)
    data = tmp_path / "data"
    data.mkdir()
    with_faults().write_parquet(data / "structures.parquet")
    measured = pl.DataFrame({"material_id": ["m-3", "m-30"], "pattern": [[0.5] * 8501] * 2, "simulated": [False] * 2})
    measured.write_parquet(data / "pxrd.parquet")
    settings = make_settings({"prepare.data": str(data), "prepare.limit": None})
    counts = [prepare(settings, out=tmp_path / "one", log=silent)]
    with processes(2) as workers:
        counts.append(prepare(settings, out=tmp_path / "two", log=silent, workers=workers))

    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert counts[0] == counts[1]
    assert (counts[0]["materials"], counts[0]["pxrd"], counts[0]["excluded"]) == (35, 34, 2)


def test_a_killed_run_leaves_no_records_and_the_next_one_writes_them(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    with_faults().write_parquet(data / "structures.parquet")
    raw = raw_settings({"prepare.data": str(data), "prepare.limit": None})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "program.py").write_text(PROGRAM)
    out = tmp_path / "records"
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "params.yaml"), str(out)]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert any(line.startswith("powder patterns: 8 of 35") for line in process.stdout)
        process.kill()
    assert not out.exists()
    assert (tmp_path / "records.partial" / "pxrd.parquet").exists()

    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    monkeypatch.setattr(stage, "CHUNK", 8)
    prepare(make_settings({"prepare.data": str(data), "prepare.limit": None}), out=tmp_path / "alone", log=silent)
    assert content(out) == content(tmp_path / "alone")
    assert not (tmp_path / "records.partial").exists()


def test_optional_columns_are_kept(run):
    _, records, _ = run(structures=structures().with_columns(band_gap=pl.lit(1.5), unrelated=pl.lit("x")))
    assert records.structures["band_gap"].to_list() == [1.5] * N
    assert "unrelated" not in records.structures.columns


def test_a_dos_counted_in_the_primitive_cell_is_scaled_to_the_given_one(run):
    given = structures().row(3, named=True)
    sites = len(given["atomic_numbers"])
    per_primitive = dos_of(given["material_id"]).with_columns(n_atoms=pl.lit(sites / 4))

    _, records, _ = run(dos=per_primitive)

    after = records.table("dos").row(0, named=True)["densities"]
    np.testing.assert_allclose(after, [4.0, 4.0])
