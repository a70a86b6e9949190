from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from matbind.base.files import COMPLETED, SCRATCH
from matbind.data.completion.complete import FAILED
from matbind.modalities.records import columns_of
from pipelines.complete import complete
from pipelines.stage import run
from tests.factories import raw_settings, rocksalt
from tests.pipelines.page import artifact


def test_the_stage_makes_what_the_settings_switch_on(
    tmp_path: Path, prefect_api_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    salt = rocksalt()
    table = {
        "material_id": ["m-1"],
        "formula": ["NaCl"],
        "lattice": [salt.lattice.ravel().tolist()],
        "atomic_numbers": [salt.atomic_number.tolist()],
        "frac_coords": [salt.frac_coords.ravel().tolist()],
    }
    pl.DataFrame(table, schema=columns_of("crystal")).write_parquet(tmp_path / "structures.parquet")
    changes = {"prepare.data": str(tmp_path), "complete.text": False, "complete.dos": True, "parallel.workers": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw_settings(changes)))
    monkeypatch.chdir(tmp_path)

    run(complete, tmp_path / "params.yaml")

    completed = {name: pl.read_parquet(COMPLETED / f"{name}.parquet") for name in ("text", "dos")}
    assert completed["dos"].select("material_id", "n_atoms").rows() == [("m-1", 2)]
    assert completed["text"].is_empty()
    assert pl.read_parquet(COMPLETED / FAILED).is_empty()
    assert (SCRATCH / "completed/dos/part-000000.parquet").exists()
    assert artifact(prefect_api_url, "complete") == [{"dos": 1, "dos_failed": 0}]
    assert capsys.readouterr().out.startswith("[complete] densities of states: 1 to make, the smallest cells first\n")
