from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.features.diffraction import pattern_grid, simulate_pattern
from matbind.records import SCHEMAS, structure_of
from matbind.splits import split_by_formula
from matbind.validation.pxrd import Grid
from matbind.validation.stage import ValidateSettings

DATA = Path(__file__).parents[2] / "data"
SETTINGS = {
    "crystal": {
        "max_quarantined_share": 0.02,
        "heaviest_element": 96,
        "min_distance_angstrom": 0.65,
        "contact": [0.55, 1.4],
        "volume_per_atom_angstrom3": [3.5, 150],
        "volume_per_covalent_volume": [0.55, 20],
        "max_fractional": 2,
        "partial_occupancy": True,
        "min_site_occupancy": 0.05,
        "duplicates": {"length": 0.2, "site": 0.3, "angle_deg": 5, "volume": 0.05},
    },
    "dos": {
        "max_quarantined_share": 0.02,
        "min_points": 50,
        "max_step_ev": 0.5,
        "window_ev": [-16, 8],
        "edge_share": 0.02,
        "max_flatness": 0.9,
        "min_density": -0.01,
        "electrons": "gfn1",
        "electrons_of": {},
        "electron_tolerance": 0.01,
        "max_neutrality_offset_ev": 0.25,
        "electron_ratio": [0.75, 1.75],
    },
    "pxrd": {
        "max_quarantined_share": 0.02,
        "max_unmeasured_share": 0.5,
        "scale_tolerance": 0.001,
        "peak_height": 0.2,
        "min_contrast": 0.2,
        "max_share_above_half": 0.3,
        "min_agreement": 0.95,
    },
    "text": {
        "max_quarantined_share": 0.02,
        "min_characters": 60,
        "max_characters": 50000,
        "ends_a_sentence": True,
        "max_elements_missing": 0,
    },
}
GRID = Grid(wavelength_angstrom=1.54184, two_theta_deg=(5.0, 90.0), n_points=4251)


def settings_with(**changes) -> ValidateSettings:
    """The settings with some values of a modality replaced: settings_with(dos={"min_points": 3})."""
    return ValidateSettings.model_validate({name: block | changes.get(name, {}) for name, block in SETTINGS.items()})


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
    dos.select(*SCHEMAS["dos"]).write_parquet(out / "dos.parquet")
    text = pl.read_parquet(DATA / "text.parquet").join(
        ids.select("material_id"), on="material_id", maintain_order="left"
    )
    text.select(*SCHEMAS["text"]).write_parquet(out / "text.parquet")
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
    pl.DataFrame(patterns, schema=SCHEMAS["pxrd"], orient="row").write_parquet(out / "pxrd.parquet")
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
