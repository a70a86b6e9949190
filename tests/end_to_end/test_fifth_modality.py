"""A fifth modality is a folder, a line in the table and its blocks in params.yaml: every stage runs with it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.end_to_end.copies import Project, copy_project
from tests.modalities.fifth import COMBINATIONS, with_fifth

pytestmark = pytest.mark.end_to_end

LAST_LINE = '    "text": "matbind.modalities.text",\n'


@pytest.fixture(scope="module")
def project(project_root: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with pair distribution functions as a fifth modality, after `dvc repro`."""
    project = copy_project(project_root, tmp_path_factory.mktemp("five"), prefect_api_url)
    root = project.root
    shutil.copytree(project_root / "tests/modalities/pdf", root / "src/matbind/modalities/pdf")
    table = root / "src/matbind/modalities/table.py"
    table.write_text(table.read_text().replace(LAST_LINE, LAST_LINE + '    "pdf": "matbind.modalities.pdf",\n'))
    params = root / "params.yaml"
    params.write_text(yaml.safe_dump(with_fifth(yaml.safe_load(params.read_text())), sort_keys=False))
    project.commit_and_pull()
    project.run("dvc", "repro")
    return project


def test_its_values_are_prepared_validated_and_featurized(project: Project) -> None:
    values = pl.read_parquet(project.root / "artifacts/valid/pdf.parquet")
    assert len(values) == len(pl.read_parquet(project.root / "artifacts/valid/structures.parquet"))
    checked = project.json("reports/validation/validation.json")["modalities"]["pdf"]
    assert checked["values"] >= len(values)
    assert {check["name"] for check in checked["expectations"]} >= {"length", "finite", "not_empty", "measured"}
    assert project.json("artifacts/features/pdf/store.json")["n_materials"] == len(values)


def test_it_is_tuned_trained_and_compared(project: Project) -> None:
    assert project.json("metrics/tuning.json")["combination"] == "crystal+pdf"
    combinations = project.json("metrics/comparison.json")["combinations"]
    assert set(combinations) == set(COMBINATIONS)
    assert set(combinations["crystal+pdf"]["pairs"]) == {"crystal->pdf", "pdf->crystal"}
    n_test = pl.read_parquet(project.root / "artifacts/features/index.parquet")["split"].to_list().count("test")
    pairs = combinations["crystal+pdf"]["pairs"].values()
    assert [(pair["kind"], pair["n"]) for pair in pairs] == [("aligned", n_test)] * 2


def test_it_stands_in_the_report_and_in_the_registry(project: Project) -> None:
    assert "crystal+pdf" in (project.root / "reports/index.html").read_text()
    registered = json.dumps(project.json("metrics/registry.json"))
    assert "matbind-crystal-pdf" in registered


def test_a_measured_function_finds_itself_and_crystals(project: Project, tmp_path: Path) -> None:
    measured = tmp_path / "unknown.gr"
    row = pl.read_parquet(project.root / "artifacts/valid/pdf.parquet").row(0, named=True)
    step = 6.0 / 60
    measured.write_text("".join(f"{1 + step * i:.3f} {value:.6f}\n" for i, value in enumerate(row["density"])))
    command = (sys.executable, "-m", "matbind.cli", "search", "--model", "crystal+pdf", "--json")

    functions = json.loads(project.run(*command, "--key", "pdf", str(measured)))[0]["nearest"]
    crystals = json.loads(project.run(*command, str(measured)))[0]["nearest"]

    # Read from a file it is the vector that was stored for its material, in half precision.
    assert functions[0]["material_id"] == row["material_id"]
    assert functions[0]["similarity"] > 0.999
    assert [material["rank"] for material in crystals] == list(range(1, 11))


def test_a_changed_line_of_its_code_makes_its_stages_stale(project: Project) -> None:
    encoder = project.root / "src/matbind/modalities/pdf/encoder.py"
    before = encoder.read_text()
    assert "ablate" not in project.run("dvc", "status", "ablate")
    encoder.write_text(before + "\n# changed\n")

    try:
        assert "src/matbind/modalities" in project.run("dvc", "status", "ablate")
    finally:
        encoder.write_text(before)
