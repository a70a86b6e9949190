from __future__ import annotations

from pathlib import Path

import polars as pl
import yaml

from matbind.base.files import COMPLETED
from matbind.data import prepare as library
from matbind.data.completion.complete import COLUMNS
from matbind.settings.load import load
from pipelines.prepare import prepare
from tests.factories import DATA, needs_sample, raw_settings, silent
from tests.pipelines.page import artifact


def params_file(directory: Path, **parallel) -> Path:
    raw = raw_settings(
        {
            "prepare.data": str(DATA),
            "prepare.limit": 60,
            "prepare.split": {"validation": 0.15, "test": 0.2},
            "prepare.pxrd.n_points": 2126,
        }
    )
    raw["parallel"] = {"workers": 2, "dask": None} | parallel
    path = directory / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@needs_sample
def test_prepare_on_a_dask_cluster_writes_what_one_process_does(tmp_path, prefect_api_url, monkeypatch):
    monkeypatch.setattr(library, "CHUNK", 8)
    monkeypatch.chdir(tmp_path)
    params = params_file(tmp_path, dask="local")
    for table, columns in COLUMNS.items():  # nothing was completed
        COMPLETED.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(schema=columns).write_parquet(COMPLETED / f"{table}.parquet")
    counts = library.prepare(load(params), out=tmp_path / "alone", log=silent)

    prepare(params)

    files = {path.name: path.read_bytes() for path in (tmp_path / "artifacts" / "records").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
    assert len(files) == 5
    assert artifact(prefect_api_url, "prepare") == [counts]
