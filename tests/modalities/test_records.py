from __future__ import annotations

import tempfile

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.materials.structure import structure_of
from matbind.modalities import records as module
from matbind.modalities.records import Records, batches, checked_columns, read_table

TEXT = pl.DataFrame({"material_id": ["a", "b", "c"], "text": ["x", None, "z"]})
CUBE = [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0]


def structures(n: int = 3, **columns) -> pl.DataFrame:
    rows = {
        "material_id": [f"m-{i}" for i in range(n)],
        "formula": ["Cu"] * n,
        "lattice": [CUBE] * n,
        "atomic_numbers": [[29]] * n,
        "frac_coords": [[0.0, 0.0, 0.0]] * n,
        "split": (["train", "validation", "test"] * n)[:n],
    }
    return pl.DataFrame(rows | columns)


@pytest.fixture
def records(tmp_path):
    structures().write_parquet(tmp_path / "structures.parquet")
    dos = {
        "material_id": ["m-2", "m-0"],
        "energies": [[0.0, 1.0, 2.0]] * 2,
        "densities": [[1.0, 2.0, 3.0]] * 2,
        "efermi": [1.0, 0.5],
    }
    pl.DataFrame(dos).write_parquet(tmp_path / "dos.parquet")
    pattern = {"material_id": ["m-1"], "pattern": [[0.5, 1.0, None]], "simulated": [False]}
    pl.DataFrame(pattern).write_parquet(tmp_path / "pxrd.parquet")
    pl.DataFrame({"material_id": ["m-0", "m-1"], "text": ["Cu is cubic.", None]}).write_parquet(
        tmp_path / "text.parquet"
    )
    return tmp_path


def test_materials_come_in_the_order_of_the_structures(records):
    materials = list(Records(records).materials())
    assert [m.material_id for m in materials] == ["m-0", "m-1", "m-2"]
    assert [m.split for m in materials] == ["train", "validation", "test"]


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("order", ["alike", "backwards", "shuffled"])
def test_every_material_gets_its_own_value_whatever_the_order_of_the_table(tmp_path, monkeypatch, order, rows):
    monkeypatch.setattr(module, "ROWS_READ", rows)
    monkeypatch.setattr(module, "ROWS_SORTED", rows)
    structures(20).write_parquet(tmp_path / "structures.parquet")
    places = [i for i in range(20) if i % 3] + [99]  # some materials have none, and one value is of no material
    table = pl.DataFrame({"material_id": [f"m-{i}" for i in places], "text": [f"text {i}" for i in places]})
    if order != "alike":
        table = table.reverse() if order == "backwards" else table.sample(fraction=1.0, shuffle=True, seed=0)
    table.write_parquet(tmp_path / "text.parquet", row_group_size=4)
    texts = [m.values.get("text") for m in Records(tmp_path).materials(only=("text",))]
    assert texts == [f"text {i}" if i % 3 else None for i in range(20)]


@pytest.mark.parametrize("table", ["dos", "text"])  # the first is in another order than the structures
def test_a_table_is_read_once(records, monkeypatch, table):
    rows = []

    def counted(*args, **kwargs):
        for batch in batches(*args, **kwargs):
            rows.extend(batch["material_id"])
            yield batch

    monkeypatch.setattr(module, "batches", counted)
    monkeypatch.setattr(module, "ROWS_READ", 1)
    list(Records(records).materials(only=(table,)))
    assert rows == pl.read_parquet(records / f"{table}.parquet")["material_id"].to_list()


def test_what_a_table_was_sorted_through_is_removed(records, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    materials = Records(records).materials(only=("dos",))
    next(materials)
    assert [path.name for path in scratch.glob("*/*")] == ["0.parquet"]
    materials.close()
    assert list(scratch.iterdir()) == []


def test_an_id_in_two_rows_is_named(records):
    pl.DataFrame({"material_id": ["m-1", "m-1"], "text": ["one", "two"]}).write_parquet(records / "text.parquet")
    with pytest.raises(UserError, match=r"text\.parquet: material_id 'm-1' stands in more than one row"):
        list(Records(records).materials(only=("text",)))


def test_materials_hold_what_the_tables_hold_of_them(records):
    materials = list(Records(records).materials())
    assert ["dos" in m.values for m in materials] == [True, False, True]
    assert ["pxrd" in m.values for m in materials] == [False, True, False]
    assert [m.values.get("text") for m in materials] == ["Cu is cubic.", None, None]
    assert materials[0].values["dos"].efermi_ev == 0.5
    np.testing.assert_array_equal(materials[1].values["pxrd"].intensity, [0.5, 1.0, np.nan])


def test_only_the_modalities_asked_for_are_read(records):
    (records / "pxrd.parquet").write_bytes(b"")
    assert ["pxrd" in m.values for m in Records(records).materials(only=("dos",))] == [False] * 3


def test_a_modality_without_a_table_reads_none(records):
    assert len(list(Records(records).materials(only=("magnetism",)))) == 3


@pytest.mark.parametrize("table", ["dos", "pxrd", "text"])
def test_a_truncated_table_is_named(records, table):
    path = records / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{table}\.parquet: this is not a whole Parquet file"):
        list(Records(records).materials(only=(table,)))


def test_a_missing_table_is_named(records):
    (records / "dos.parquet").unlink()
    with pytest.raises(
        UserError, match=r"dos\.parquet: the file does not exist, expected a Parquet table of densities of states"
    ):
        list(Records(records).materials(only=("dos",)))


def test_records_without_a_split_are_refused(records):
    structures().drop("split").write_parquet(records / "structures.parquet")
    with pytest.raises(UserError, match=r"structures\.parquet: column split is missing"):
        Records(records)


def written(tmp_path, frame: pl.DataFrame):
    frame.write_parquet(tmp_path / "structures.parquet")
    return tmp_path / "structures.parquet"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (structures().drop("lattice"), "column lattice is missing, expected material_id, formula, lattice"),
        (structures(lattice=["a", "b", "c"]), r"column lattice has type String, expected List\(Float64\)"),
        (structures(atomic_numbers=[[29.5]] * 3), "column atomic_numbers has type"),
        (structures(material_id=["a", "b", "a"]), "material_id 'a' stands in more than one row"),
        (structures(material_id=["a", None, "c"]), "material_id is missing in row 1"),
    ],
)
def test_a_table_that_is_wrong_is_one_sentence(tmp_path, frame, message):
    with pytest.raises(UserError, match=message) as caught:
        read_table(written(tmp_path, frame), "crystal")
    assert str(caught.value).startswith(str(tmp_path / "structures.parquet"))
    assert "\n" not in str(caught.value)


def test_a_truncated_parquet_file_is_named(tmp_path):
    path = written(tmp_path, structures())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"structures\.parquet: this is not a whole Parquet file"):
        read_table(path, "crystal")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "structures.parquet").write_text("material_id,formula\n")
    with pytest.raises(UserError, match="not a whole Parquet file"):
        read_table(tmp_path / "structures.parquet", "crystal")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="the file does not exist"):
        read_table(tmp_path / "structures.parquet", "crystal")


def test_numbers_of_another_width_are_taken(tmp_path):
    frame = structures().with_columns(pl.col("atomic_numbers").cast(pl.List(pl.Int64)))
    assert read_table(written(tmp_path, frame), "crystal").schema["atomic_numbers"] == pl.List(pl.Int16)


def test_batches_hold_every_row_in_order(tmp_path):
    TEXT.write_parquet(tmp_path / "text.parquet")
    parts = list(batches(tmp_path / "text.parquet", "text", rows=2))
    assert [len(part) for part in parts] == [2, 1]
    assert pl.concat(parts)["row"].to_list() == [0, 1, 2]
    assert pl.concat(parts).drop("row").equals(TEXT)


def dos(**columns) -> pl.DataFrame:
    return pl.DataFrame({"material_id": ["a"], "energies": [[1.0]], "densities": [[1.0]], "efermi": [0.0]} | columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            dos().drop("efermi"),
            r"dos.parquet: column efermi is missing, expected material_id, energies, densities, efermi",
        ),
        (dos(energies=[["1.0"]]), r"dos.parquet: column energies has type List\(String\), expected List\(Float32\)"),
        (dos(energies=[1.0]), r"dos.parquet: column energies has type Float64, expected List\(Float32\)"),
        (dos(material_id=[7]), r"dos.parquet: column material_id has type Int64, expected String"),
    ],
)
def test_a_table_of_other_columns_is_refused(tmp_path, frame, message):
    frame.write_parquet(tmp_path / "dos.parquet")
    with pytest.raises(UserError, match=message):
        checked_columns(tmp_path / "dos.parquet", "dos")


def test_wider_numbers_are_read(tmp_path):
    dos(efermi=[1]).write_parquet(tmp_path / "dos.parquet")
    assert list(checked_columns(tmp_path / "dos.parquet", "dos")) == ["material_id", "energies", "densities", "efermi"]


def test_fractional_atomic_numbers_are_refused(tmp_path):
    row = {"material_id": "a", "formula": "H", "lattice": [1.0] * 9, "atomic_numbers": [1.0], "frac_coords": [0.0] * 3}
    pl.DataFrame([row]).write_parquet(tmp_path / "structures.parquet")
    with pytest.raises(UserError, match=r"column atomic_numbers has type List\(Float64\), expected List\(Int16\)"):
        checked_columns(tmp_path / "structures.parquet", "crystal")


def test_a_truncated_file_is_refused_before_and_while_it_is_read(tmp_path):
    path = tmp_path / "text.parquet"
    TEXT.write_parquet(path)
    content = path.read_bytes()
    for share in (0.0, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        for read in (lambda: checked_columns(path, "text"), lambda: list(batches(path, "text", rows=2))):
            with pytest.raises(UserError, match=r"text.parquet: this is not a whole Parquet file"):
                read()


def row(**changes) -> dict:
    return {"lattice": CUBE, "atomic_numbers": [29], "frac_coords": [0.0, 0.0, 0.0]} | changes


def test_a_row_becomes_a_structure():
    materials = structure_of(
        row(lattice=[*range(1, 9), 0], atomic_numbers=[29, 30], frac_coords=[0, 0, 0, 0.5, 0.25, 0.75])
    )
    np.testing.assert_array_equal(materials.lattice, [[1, 2, 3], [4, 5, 6], [7, 8, 0]])
    np.testing.assert_array_equal(materials.frac_coords, [[0, 0, 0], [0.5, 0.25, 0.75]])
    assert materials.atomic_number.tolist() == [29, 30]


def test_a_row_with_site_indices_is_a_disordered_structure():
    materials = structure_of(row(atomic_numbers=[29, 79], site_index=[0, 0], occupancy=[0.75, 0.25]))
    assert materials.n_sites == 1
    assert materials.occupancy.tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lattice": [1.0] * 6}, "lattice has 6 numbers, expected 9"),
        ({"frac_coords": [0.0, 0.0]}, "frac_coords has 2 numbers, expected 3 a site"),
        ({"frac_coords": []}, "frac_coords has 0 numbers"),
        ({"atomic_numbers": [29, 30]}, "expected one number for each of 1 sites"),
        ({"atomic_numbers": [200]}, "atomic_number 200"),
        ({"lattice": [0.0] * 9}, "singular"),
        ({"frac_coords": [None, 0.0, 0.0]}, "not finite"),
    ],
)
def test_a_row_that_is_no_crystal_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        structure_of(row(**changes))
