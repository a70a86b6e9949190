from __future__ import annotations

import polars as pl

from matbind.analysis.symmetries import read_symmetries, write_symmetries
from matbind.base.parallel import SerialPool
from matbind.materials.structure import structure_of
from matbind.materials.symmetry import find_symmetry
from matbind.modalities.records import Records
from tests.factories import needs_sample, real_features

pytestmark = needs_sample


def test_symmetries_come_back_as_they_were_found(tmp_path):
    records = real_features().parent / "records"
    assert write_symmetries(records, out=tmp_path / "a.parquet", scratch=tmp_path / "kept", workers=SerialPool())

    rows = list(Records(records).structures.iter_rows(named=True))
    symmetries = read_symmetries(tmp_path / "a.parquet")
    assert [symmetries[row] for row in (0, 7, 59)] == [find_symmetry(structure_of(rows[row])) for row in (0, 7, 59)]


def test_they_are_found_again_only_for_other_structures(tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    structures = pl.read_parquet(real_features().parent / "records" / "structures.parquet").head(3)
    options = {"out": tmp_path / "a.parquet", "scratch": tmp_path / "kept", "workers": SerialPool()}
    computed = []
    for table in (structures, structures, structures.head(2)):
        table.write_parquet(records / "structures.parquet")
        computed.append(write_symmetries(records, **options))
    assert computed == [True, False, True]
    assert len(read_symmetries(tmp_path / "a.parquet")) == 2
