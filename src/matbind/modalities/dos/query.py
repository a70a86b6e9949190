"""A density of states as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matbind.base.content import bare_name, read_text
from matbind.modalities.dos.files import read_dos
from matbind.modalities.dos.records import Dos
from matbind.modalities.reading import json_object, number, numbers

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


def read(column: str, text: str, **_: Any) -> Dos:  # noqa: ARG001
    """Read a density of states; what is no JSON, lacks a key or holds something else than finite numbers is refused."""
    content = json_object(text, _KEYS)
    densities = numbers(content["densities"], name="densities")
    n_atoms = number(content["n_atoms"], name="n_atoms")
    if n_atoms <= 0:
        raise ValueError(f"n_atoms is {n_atoms:g}, expected the number of atoms of the cell")
    if not (densities > 0).any():
        raise ValueError("no density is above zero, expected states / eV / cell")
    return Dos(
        energies_ev=numbers(content["energies_ev"], name="energies_ev"),
        densities=densities / n_atoms,  # of the one atom of the query's cell
        efermi_ev=number(content["efermi_ev"], name="efermi_ev"),
    )


def read_file(path: Path, *, n_atoms: int | None, **_: Any) -> tuple[Dos, str]:
    """Read a file of :func:`read`, or any of :func:`matbind.modalities.dos.files.read_dos`; its cell has one atom."""
    if bare_name(path).endswith(".json") and '"energies_ev"' in (text := read_text(path)):
        return read("dos", text), ""
    contents = read_dos(path)
    n_atoms = contents.n_atoms or n_atoms
    if not n_atoms:
        raise ValueError("it does not say how many atoms its cell has, expected n_atoms in the file, or --atoms")
    dos = contents.dos
    return Dos(dos.energies_ev, dos.densities / n_atoms, dos.efermi_ev), contents.note
