from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.base.parallel import processes
from matbind.data import featurize as stage
from matbind.data.featurize import featurize, read_split
from matbind.data.prepare import prepare
from matbind.modalities.store import Store
from tests.factories import DATA, make_settings, needs_sample, silent

pytestmark = needs_sample


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of 30 real materials."""
    directory = tmp_path_factory.mktemp("records") / "records"
    settings = make_settings(
        {"prepare.data": str(DATA), "prepare.limit": 30, "prepare.split": {"validation": 0.2, "test": 0.2}}
    )
    prepare(settings, out=directory, log=silent)
    return directory


def copied(records, tmp_path):
    for path in records.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def run(records, out, **overrides):
    return featurize(make_settings(overrides), records=records, out=out, log=silent)


def test_every_modality_has_a_store_of_all_materials(records, tmp_path):
    counts = run(records, tmp_path)
    dos = len(pl.read_parquet(records / "dos.parquet"))
    assert counts == {"crystal": 30, "dos": dos, "pxrd": 30, "text": 30, "failed": 0}
    for name in ("crystal", "dos", "pxrd", "text"):
        store = Store(tmp_path / name)
        assert store.n_materials == 30
        assert store.present.sum() == counts[name]


def test_the_splits_divide_the_materials(records, tmp_path):
    run(records, tmp_path)
    sides = [read_split(tmp_path, side) for side in ("train", "validation", "test")]
    assert np.sort(np.concatenate(sides)).tolist() == list(range(30))
    split = pl.read_parquet(records / "structures.parquet")["split"].to_list()
    assert all(split[i] == "test" for i in sides[2])


def test_processes_give_the_same_stores_as_one(records, tmp_path, monkeypatch):
    run(records, tmp_path / "one")
    monkeypatch.setattr(stage, "CHUNK", 7)
    with processes(2) as workers:
        featurize(make_settings(), records=records, out=tmp_path / "several", log=silent, workers=workers)
    for path in (tmp_path / "one").glob("*/*"):
        assert (tmp_path / "several" / path.relative_to(tmp_path / "one")).read_bytes() == path.read_bytes(), path


def test_a_nan_in_a_dos_is_listed_and_the_run_goes_on(records, tmp_path):
    directory = copied(records, tmp_path)
    dos = pl.read_parquet(directory / "dos.parquet").to_dicts()
    dos[0]["densities"][5] = float("nan")
    dos[1]["energies"] = dos[1]["energies"][:-1]
    pl.DataFrame(dos, schema=pl.read_parquet_schema(directory / "dos.parquet")).write_parquet(directory / "dos.parquet")
    counts = run(directory, tmp_path / "features")
    assert counts["failed"] == 2
    assert counts["dos"] == len(dos) - 2
    failed = {row[0]: row[1:] for row in pl.read_parquet(tmp_path / "features" / "failed.parquet").rows()}
    assert failed[dos[0]["material_id"]] == ("dos", "the DOS holds a value that is not finite")
    assert failed[dos[1]["material_id"]][1].startswith("energies have shape")


def test_words_of_validation_and_test_do_not_enter_the_vocabulary(records, tmp_path):
    directory = copied(records, tmp_path)
    split = dict(pl.read_parquet(directory / "structures.parquet").select("material_id", "split").rows())
    text = pl.read_parquet(directory / "text.parquet").with_columns(
        pl.col("text")
        + pl.col("material_id").replace_strict(split).map_elements(lambda side: f" {side}word" * 3, pl.String)
    )
    text.write_parquet(directory / "text.parquet")
    run(directory, tmp_path / "features")
    vocabulary = Store(tmp_path / "features" / "text").meta["vocabulary"]
    assert "trainword" in vocabulary
    assert not {"validationword", "testword"} & set(vocabulary)


def test_a_modality_that_nobody_holds_is_refused_with_the_reason(records, tmp_path):
    directory = copied(records, tmp_path)
    frame = pl.read_parquet(directory / "dos.parquet").with_columns(efermi=pl.lit(float("nan")))
    frame.write_parquet(directory / "dos.parquet")
    with pytest.raises(UserError, match=r"no material has a usable dos, expected at least one \(the DOS holds a value"):
        run(directory, tmp_path / "features")


def test_an_interrupted_run_is_not_taken_for_finished(records, tmp_path):
    run(records, tmp_path)

    def interrupt(sentence: str) -> None:
        if sentence.startswith("dos"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        featurize(make_settings(), records=records, out=tmp_path, log=interrupt)
    with pytest.raises(UserError, match=r"index\.parquet: the file does not exist, run the featurize stage first"):
        read_split(tmp_path, "train")


def test_records_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match=r"structures\.parquet: the file does not exist"):
        run(tmp_path, tmp_path / "features")
