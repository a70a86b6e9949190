"""A density of states as JSON."""

from __future__ import annotations

import json

from matbind.records import Dos, Material
from matbind.serving.queries.reading import json_object, material, number, numbers
from matbind.settings import Settings

COLUMNS = {
    "dos": 'an electronic density of states, JSON: {"energies_ev": [...], "densities": [states / eV / cell, both '
    'spins], "efermi_ev": number, "n_atoms": atoms of the cell}'
}
EXAMPLE = {
    "dos": json.dumps(
        {
            "energies_ev": [float(energy) for energy in range(-12, 13)],
            "densities": [2.0 if -5 <= energy <= 0 else 0.0 for energy in range(-12, 13)],  # noqa: PLR2004
            "efermi_ev": 0.5,
            "n_atoms": 2,
        }
    )
}
_KEYS = ("energies_ev", "densities", "efermi_ev", "n_atoms")


def read(column: str, value: str, settings: Settings) -> Material:  # noqa: ARG001
    """Read a density of states.

    Args:
        column: which of `COLUMNS`.
        value: JSON.
        settings: all settings.

    Raises:
        ValueError: if it is no JSON, lacks a key, or holds something else than finite numbers.
    """
    found = json_object(value, _KEYS)
    densities = numbers(found["densities"], name="densities")
    n_atoms = number(found["n_atoms"], name="n_atoms")
    if n_atoms <= 0:
        raise ValueError(f"n_atoms is {n_atoms:g}, expected the number of atoms of the cell")
    if not (densities > 0).any():
        raise ValueError("no density is above zero, expected states / eV / cell")
    return material(
        dos=Dos(
            energies_ev=numbers(found["energies_ev"], name="energies_ev"),
            densities=densities / n_atoms,  # of the one atom of the query's cell
            efermi_ev=number(found["efermi_ev"], name="efermi_ev"),
        )
    )
