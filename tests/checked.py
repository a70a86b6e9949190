"""The settings by which the tests validate, the angles of their patterns, and how single values are judged."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import polars as pl

from matbind.base.config import StrictModel
from matbind.data.validation.checkpoint import Checkpoints, flat, judged_rows
from matbind.data.validation.outcome import Outcome
from matbind.data.validation.quarantine import UNMEASURED, with_identity
from matbind.data.validation.suites import parameters_of, suite_of
from matbind.modalities.pxrd.settings import Grid
from matbind.modalities.records import columns_of
from matbind.modalities.table import modality_names
from matbind.settings.load import validation_model

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


def settings_with(*, data_docs: bool = False, **changes: dict[str, Any]) -> SimpleNamespace:
    """Return what the stage takes of settings, some values replaced: settings_with(dos={"min_points": 3}).dos."""
    blocks = {name: block | changes.get(name, {}) for name, block in SETTINGS.items()}
    validation = validation_model(modality_names()).model_validate(blocks | {"data_docs": data_docs})
    sections = {name: validation[name] for name in SETTINGS}
    return SimpleNamespace(**sections, validation=validation, records={"pxrd": GRID}.get)


def outcomes_of(name: str, settings: StrictModel, validator: Any, batch: pl.DataFrame) -> list[Outcome]:
    """Judge rows of a modality's table, compared with each other where they are structures."""
    suite = suite_of(name, None)
    summary = with_identity(validator.summarize(batch), batch["material_id"])
    if hasattr(validator, "compare"):
        summary = validator.compare(summary, batch)
    further = {"columns": list(columns_of(name)), "n_materials": len(batch)} | validator.parameters
    rows = judged_rows(summary, flat(batch, suite), suite)
    with TemporaryDirectory() as directory:
        checkpoints = Checkpoints(Path(directory) / "gx", data_docs=False)
        return checkpoints.run(name, suite, rows, parameters_of(settings, further))


def failing(name: str, settings: StrictModel, validator: Any, batch: pl.DataFrame) -> set[str]:
    """Return the names of the expectations that rows fail, but for measures that could not be computed."""
    outcomes = outcomes_of(name, settings, validator, batch)
    return {outcome.name for outcome in outcomes if outcome.rows} - {UNMEASURED}
