from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from matbind.analysis.stage import analyse
from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.base.parallel import SerialPool
from tests.analysis.world import add_trained, request, write_models
from tests.factories import ROOT, needs_sample, real_features, silent
from tests.serving.trained import EVERYTHING

pytestmark = needs_sample
QUESTIONS = ("failures", "fused", "gallery", "geometry", "helping", "maps", "perovskites", "probes", "robustness")


def run(results_dir: Path, out: Path, *, workers: Any = SerialPool(), **changes: Any) -> None:  # noqa: B008
    analyse(
        replace(request(results_dir), out=out / "analysis", **changes),
        latent=out / "latent.json",
        shapley=out / "shapley.json",
        scratch=real_features().parent / "symmetry",
        params=ROOT / "params.yaml",
        log=silent,
        workers=workers,
    )


@pytest.fixture(scope="module")
def results_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two combinations really trained, most of the others made up, one that failed and one that is not there."""
    directory = tmp_path_factory.mktemp("stage")
    write_models(directory, only=["crystal", "dos", "text", "crystal+dos+pxrd", "crystal+dos+text", "dos+text"])
    for name in (EVERYTHING, "crystal+pxrd"):
        add_trained(directory, name)
    write_json(directory / "metrics" / "pxrd+text.json", {"combination": "pxrd+text", "error": "loss is NaN"})
    for name in ("crystal+dos", "crystal+text"):
        write_json(directory / "metrics" / f"{name}.json", {"combination": name, "error": "loss is NaN"})
    return directory


@pytest.fixture(scope="module")
def out(results_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("out")
    run(results_dir, directory)
    return directory


def numbers(content: Any) -> Iterator[float]:
    if isinstance(content, dict):
        for value in content.values():
            yield from numbers(value)
    elif isinstance(content, list):
        for item in content:
            yield from numbers(item)
    elif isinstance(content, float):
        yield content


def test_every_question_is_answered_in_a_file_of_finite_numbers(out):
    for name in (*QUESTIONS, "index", "parameters"):
        content = json.loads((out / "analysis" / f"{name}.json").read_text())
        assert content["run_ids"]["crystal"] == "run of crystal", name
        assert all(math.isfinite(number) for number in numbers(content)), name


def test_the_index_tells_what_was_analysed(out):
    index = json.loads((out / "analysis" / "index.json").read_text())
    assert len(index["combinations"]) == 15
    assert index["combinations"]["pxrd+text"] == {"unavailable": "its training failed: loss is NaN"}
    assert index["combinations"]["pxrd"] == {"unavailable": "it was not trained"}
    assert index["combinations"]["dos+text"]["hub"] == "text"
    assert sum(index["materials"].values()) == 60
    assert index["held"]["test"]["crystal"] == index["materials"]["test"]


def test_what_failed_says_so_where_its_result_would_be(out):
    probes = json.loads((out / "analysis" / "probes.json").read_text())
    assert probes["results"]["pxrd+text"] == {"unavailable": "its training failed: loss is NaN"}
    assert "value" in probes["results"]["crystal"]["crystal"]["crystal_system"]


def test_maps_hold_a_row_for_every_material_combination_and_sample(out):
    table = pl.read_parquet(out / "analysis" / "maps.parquet")
    assert set(table["combination"]) == {"crystal", "crystal+pxrd", "crystal+dos+pxrd", "crystal+dos+text", EVERYTHING}
    assert table.select("combination", "sample", "material_id").is_duplicated().sum() == 0


def test_the_same_whoever_does_the_work(results_dir, out, tmp_path):
    class Backwards:
        """Workers that end in another order than they began."""

        def map(self, function, items):
            tasks = list(items)
            done = {place: function(tasks[place]) for place in reversed(range(len(tasks)))}
            return iter([done[place] for place in range(len(tasks))])

    run(results_dir, tmp_path, workers=Backwards())

    files = sorted(path.relative_to(out) for path in out.rglob("*.*"))
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert [name for name in files if (out / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_records_of_other_materials_are_refused(results_dir, tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    whole = pl.read_parquet(real_features().parent / "records" / "structures.parquet")
    whole.head(50).write_parquet(records / "structures.parquet")
    with pytest.raises(UserError, match="hold different materials; run the featurize stage"):
        run(results_dir, tmp_path, records=records)


def test_embeddings_of_another_number_of_materials_are_refused(tmp_path):
    write_models(tmp_path, only=["text"])
    np.savez(tmp_path / "models/text/seed-0/embeddings.npz", material_id=["m-1"], text=np.ones((1, 4)))
    with pytest.raises(UserError, match=r"found 1 materials that are not the 60 of .* run the ablate stage again$"):
        run(tmp_path, tmp_path)


def test_embeddings_of_as_many_other_materials_are_refused(tmp_path):
    write_models(tmp_path, only=["text"])
    path = tmp_path / "models/text/seed-0/embeddings.npz"
    with np.load(path) as arrays:
        np.savez(path, material_id=arrays["material_id"][::-1], text=arrays["text"])
    with pytest.raises(UserError, match=r"found 60 materials that are not the 60 of .* run the ablate stage again$"):
        run(tmp_path, tmp_path)
