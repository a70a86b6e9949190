from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.validation.tables import batches, check_table
from matbind.modalities.ragged import ragged

TEXT = pl.DataFrame({"material_id": ["a", "b", "c"], "text": ["x", None, "z"]})


def test_lists_end_to_end_with_missing_lists_empty_and_missing_numbers_nan():
    found = ragged(pl.Series([[1.0, None], None, [], [3.0]], dtype=pl.List(pl.Float32)))
    np.testing.assert_array_equal(found.values, np.array([1.0, np.nan, 3.0], dtype=np.float32))
    np.testing.assert_array_equal(found.offsets, [0, 2, 2, 2, 3])
    np.testing.assert_array_equal(found.lengths, [2, 0, 0, 1])


def test_missing_integers_are_zero():
    found = ragged(pl.Series([[1, None]], dtype=pl.List(pl.Int16)))
    assert found.values.tolist() == [1, 0]


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
        check_table(tmp_path / "dos.parquet", "dos")


def test_wider_numbers_are_read(tmp_path):
    dos(efermi=[1]).write_parquet(tmp_path / "dos.parquet")
    assert check_table(tmp_path / "dos.parquet", "dos") == ["material_id", "energies", "densities", "efermi"]


def test_fractional_atomic_numbers_are_refused(tmp_path):
    row = {"material_id": "a", "formula": "H", "lattice": [1.0] * 9, "atomic_numbers": [1.0], "frac_coords": [0.0] * 3}
    pl.DataFrame([row]).write_parquet(tmp_path / "structures.parquet")
    with pytest.raises(UserError, match=r"column atomic_numbers has type List\(Float64\), expected List\(Int16\)"):
        check_table(tmp_path / "structures.parquet", "structures")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "text.parquet"
    TEXT.write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"text.parquet: this is not a whole Parquet file"):
        check_table(path, "text")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"text.parquet: the file does not exist, expected a Parquet table of text"):
        check_table(tmp_path / "text.parquet", "text")
