"""The settings by which the tests validate, and the angles of their patterns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from matbind.modalities.pxrd.grid import Grid
from matbind.modalities.table import part

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


def settings_with(**changes: dict[str, Any]) -> SimpleNamespace:
    """Return what the stage takes of settings, some values replaced: settings_with(dos={"min_points": 3}).dos."""
    sections = {
        name: part(name, "validation").Settings.model_validate(block | changes.get(name, {}))
        for name, block in SETTINGS.items()
    }
    return SimpleNamespace(**sections, validation=sections, records={"pxrd": GRID}.get)
