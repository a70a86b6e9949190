from __future__ import annotations

import polars as pl
import pytest

from benchmarks.faults import FAULTS
from benchmarks.injection import inject, measure
from matbind.data.validation.stage import validate
from matbind.modalities.table import modality_names


@pytest.fixture(scope="module")
def faulty(sample_records, tmp_path_factory):
    out = tmp_path_factory.mktemp("faulty") / "records"
    return out, inject(sample_records, out, share=0.01)


@pytest.fixture
def result(faulty, tmp_path, settings, grid):
    records, injected = faulty
    anything = {name: {"max_quarantined_share": 1.0} for name in modality_names()}
    validate(settings(**anything), records, tmp_path / "valid", tmp_path / "reports", log=str)
    return measure(injected, pl.read_parquet(tmp_path / "valid" / "quarantine.parquet"))


def test_every_kind_of_fault_is_caught_and_no_clean_material_is(result):
    table, clean = result
    for kind in table:
        note = f" ({kind.fault.partly})" if kind.caught < kind.injected else ""
        print(f"{kind.fault.modality:8}{kind.fault.name:36}{kind.injected:3}{kind.caught:3}  {kind.expectation}{note}")  # noqa: T201
    assert [kind.fault.name for kind in table if kind.injected < 6] == []
    assert [kind.fault.name for kind in table if kind.caught < kind.injected and not kind.fault.partly] == []
    assert [kind.fault.name for kind in table if kind.caught < 0.6 * kind.injected] == []
    assert clean["material_id"].to_list() == []


def test_there_are_kinds_enough_for_every_modality():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) == 72
    assert {m: sum(fault.modality == m for fault in FAULTS) for m in modality_names()} == {
        "crystal": 22,
        "dos": 27,
        "pxrd": 14,
        "text": 9,
    }


def test_each_material_has_one_fault_at_most(faulty):
    _, injected = faulty
    ids = [material_id for kind in injected for material_id in kind.material_ids]
    assert len(ids) == len(set(ids))


def test_the_share_of_each_kind_is_that_asked_for(faulty):
    _, injected = faulty
    assert {len(kind.places) for kind in injected} == {6}


def test_rows_without_a_fault_are_as_they_were(faulty, sample_records):
    records, injected = faulty
    touched = pl.Series(sorted(set().union(*(kind.material_ids for kind in injected))))
    for table in ("dos", "pxrd", "text"):
        before, after = (pl.read_parquet(d / f"{table}.parquet") for d in (sample_records, records))
        untouched = ~pl.col("material_id").is_in(touched.implode())
        assert before.filter(untouched).equals(after.filter(untouched))
