from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.data.splits import split_by_formula
from matbind.materials.diffraction import pattern_grid, simulate_pattern
from matbind.materials.structure import structure_of
from matbind.modalities.records import columns_of
from tests.checked import GRID, settings_with

DATA = Path(__file__).parents[3] / "data"


@pytest.fixture
def settings():
    return settings_with


@pytest.fixture
def grid():
    return GRID


def write_records(out: Path, structures: pl.DataFrame) -> Path:
    """A records directory of some rows of the sample."""
    out.mkdir(parents=True, exist_ok=True)
    split = split_by_formula(structures["formula"].to_list(), validation=0.1, test=0.2, seed=0)
    structures = structures.with_columns(pl.Series("split", split))
    structures.write_parquet(out / "structures.parquet")
    ids = structures.select("material_id", pl.col("atomic_numbers").list.len().alias("n_sites"))
    dos = pl.read_parquet(DATA / "dos.parquet").join(ids, on="material_id", maintain_order="left")
    if "n_atoms" in dos.columns:  # the cell of the calculation is not always that of the structure
        dos = dos.filter(pl.col("n_atoms") == pl.col("n_sites"))
    dos.select(*columns_of("dos")).write_parquet(out / "dos.parquet")
    text = pl.read_parquet(DATA / "text.parquet").join(
        ids.select("material_id"), on="material_id", maintain_order="left"
    )
    text.select(*columns_of("text")).write_parquet(out / "text.parquet")
    angles = pattern_grid(n_points=GRID.n_points)
    sizes = np.random.default_rng(0).uniform(20, 100, len(structures))
    patterns = [
        (
            row["material_id"],
            simulate_pattern(structure_of(row), crystallite_size_nm=size, wavelength_angstrom=1.54184, grid_deg=angles),
            True,
        )
        for row, size in zip(structures.iter_rows(named=True), sizes, strict=True)
    ]
    pl.DataFrame(patterns, schema=columns_of("pxrd"), orient="row").write_parquet(out / "pxrd.parquet")
    return out


@pytest.fixture(scope="session")
def sample_records(tmp_path_factory) -> Path:
    """600 materials of the embedded sample, spread over it."""
    structures = pl.read_parquet(DATA / "structures.parquet")
    return write_records(
        tmp_path_factory.mktemp("sample") / "records", structures.gather_every(len(structures) // 600).head(600)
    )


@pytest.fixture(scope="session")
def few_records(tmp_path_factory) -> Path:
    """The first 30 materials of the embedded sample."""
    return write_records(
        tmp_path_factory.mktemp("few") / "records", pl.read_parquet(DATA / "structures.parquet").head(30)
    )
