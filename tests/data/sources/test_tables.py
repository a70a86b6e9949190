from __future__ import annotations

import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.sources import tables as sample
from matbind.modalities.records import columns_of
from matbind.modalities.table import value_names
from tests.factories import DATA, needs_sample

ROWS = {
    "material_id": ["m-1"],
    "formula": ["Cu"],
    "lattice": [[4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]],
    "atomic_numbers": [[29]],
    "frac_coords": [[0.0, 0.0, 0.0]],
}


def test_tables_that_are_not_there_are_empty(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "structures.parquet")
    raw = sample.read(tmp_path)
    assert raw.structures["material_id"].to_list() == ["m-1"]
    assert [len(raw.table(name)) for name in value_names()] == [0, 0, 0]
    assert list(raw.table("dos").columns) == list(columns_of("dos"))


def test_a_directory_without_structures_is_named(tmp_path):
    with pytest.raises(UserError, match=r"structures\.parquet: the file does not exist"):
        sample.read(tmp_path)


def test_a_broken_second_table_is_named(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "structures.parquet")
    (tmp_path / "text.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"text\.parquet: this is not a whole Parquet file"):
        sample.read(tmp_path)


@needs_sample
def test_the_embedded_sample_has_the_counts_of_its_readme():
    raw = sample.read(DATA)
    assert [len(raw.structures), *(len(raw.table(name)) for name in ("text", "dos", "pxrd"))] == [6051, 6048, 4838, 0]
