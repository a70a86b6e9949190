"""Densities of states from JSON, columns of text and vasprun.xml."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.base.content import bare_name, decode, parse_xml, read_bytes, read_text, refusals_of
from matbind.base.text_columns import MOSTLY_NUMBERS, Columns, parse_columns, share_of_rows
from matbind.materials.structure import FloatArray
from matbind.modalities.dos.records import COLUMNS as TABLE_COLUMNS
from matbind.modalities.dos.records import Dos
from matbind.modalities.reading import json_object

SUFFIXES = (".json", "vasprun.xml", ".csv", ".dat", ".txt")
QUALIFIERS = (".dos",)
COLUMNS: dict[str, Any] = {
    **{name: dtype for name, dtype in TABLE_COLUMNS.items() if name != "material_id"},
    "n_atoms": pl.Int64,
    "note": pl.String,
}
FEWEST_ENERGIES = 10
RYDBERG_EV, HARTREE_EV = 13.605693123, 27.211386246
FERMI = re.compile(
    r"(?:\be[\s_-]*f(?:ermi)?|fermi[\s_-]*(?:energy|level)?)\b\W*?"
    r"([-+]?\d+\.?\d*(?:e[-+]?\d+)?)\s*(ev|ry|rydberg|ha|hartree)?\b",
    re.IGNORECASE,
)
MINUS = "[-\u2212\u2013]"
RELATIVE = re.compile(rf"\be\w*\s*{MINUS}\s*e[\s_]*f|relative to (?:the )?(?:fermi|e_?f)", re.IGNORECASE)
UNITS = (
    (re.compile(r"\b(?:ry|rydbergs?)\b", re.IGNORECASE), RYDBERG_EV),
    (re.compile(r"\b(?:ha|hartrees?)\b", re.IGNORECASE), HARTREE_EV),
)
ENERGY = re.compile(rf"energ|^\W*e\b|^\W*e\s*(?:{MINUS}|[(\[])|^ev\b", re.IGNORECASE)
INTEGRATED = re.compile(r"^i(?:nt)?[\s_.]*dos|integ|^int", re.IGNORECASE)
UP = re.compile(r"up\b|dosup|alpha|spin[\s_]*1|\bup|↑", re.IGNORECASE)
DOWN = re.compile(r"down|dosdw|dosdn|\bdn\b|\bdw\b|beta|spin[\s_]*2|↓", re.IGNORECASE)
TOTAL = re.compile(r"^t?dos\b|^t?dos\(|total|densit|^dos|states", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class ReadDos:
    """A density of states from a file."""

    dos: Dos  # both spins together
    n_atoms: int | None  # sites of the cell the states are counted in; None where the file does not say
    note: str  # what was decided while reading; may be empty


def read_dos(path: Path) -> ReadDos:
    """Read a total density of states.

    - `.json`: `energies`, `densities` and `efermi`, or what pymatgen's `Dos` and `CompleteDos` write; densities are a
      list, or lists by spin, which are added. `n_atoms` may say whose cell it is.
    - `.xml`: a vasprun.xml.
    - else columns of text with a header: energy, and density or its spins. The header says the Fermi energy
      (`efermi = 5.1`), or that energies are relative to it (`E-E_F`), and Ry or Ha if energies are not in eV.

    Raises:
        UserError: if the file is of another kind or damaged, the Fermi energy is not said or lies beyond the energies,
            energies repeat, a value is not finite, or all densities are zero.
    """
    with refusals_of(path):
        name = bare_name(path)
        if name.endswith(".json"):
            return _json(read_text(path))
        if name.endswith(".xml"):
            return _vasprun(path)
        return _columns(parse_columns(read_text(path)))


def looks_like_dos(columns: Columns) -> bool:
    """Return whether the header speaks of energies and states."""
    text = columns.header_text
    if columns.names and ENERGY.search(columns.names[0]):
        return True
    return bool(re.search(r"\bt?p?dos\b|density of states|\bdos\(|e-?fermi|\befermi\b", text, re.IGNORECASE))


def _json(text: str) -> ReadDos:
    content = json_object(text, ("energies", "densities", "efermi"))
    densities = content["densities"]
    spins = list(densities.values()) if isinstance(densities, dict) else [densities]
    try:
        energies, spin_densities = np.array(content["energies"], float), [np.array(spin, float) for spin in spins]
        efermi = float(content["efermi"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"its energies, densities or efermi are no numbers ({error})") from error
    if not spins or energies.ndim != 1 or any(spin.shape != energies.shape for spin in spin_densities):
        shapes = " and ".join(str(spin.shape) for spin in spin_densities) or "none"
        raise ValueError(
            f"it holds energies of shape {energies.shape} and densities of {shapes}, expected equal lengths"
        )
    n_atoms = content.get("n_atoms")
    if n_atoms is None and isinstance(structure := content.get("structure"), dict):
        sites = structure.get("sites")
        n_atoms = len(sites) if isinstance(sites, list) and sites else None
    if n_atoms is not None and (not isinstance(n_atoms, int) or n_atoms < 1):
        raise ValueError(f"its n_atoms is {n_atoms!r}, expected a number of sites")
    note = f"{len(spins)} spins added" if len(spins) > 1 else ""
    return ReadDos(_checked(energies, np.sum(spin_densities, axis=0), efermi), n_atoms, note)


def _vasprun(path: Path) -> ReadDos:
    content = read_bytes(path)
    if decode(content[:4096]).find("<modeling") < 0:
        raise ValueError("this XML is no vasprun.xml, expected <modeling>")
    parse_xml(content)
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run = Vasprun(str(path), parse_dos=True, parse_eigen=False, parse_potcar_file=False)
            tdos, n_atoms = getattr(run, "tdos", None), len(run.final_structure)
        except Exception as error:
            words = " ".join(str(error).split())
            raise ValueError(f"the calculation cannot be understood ({type(error).__name__}: {words})") from error
    if tdos is None or tdos.efermi is None:
        raise ValueError("the calculation holds no density of states")
    note = f"{len(tdos.densities)} spins added" if len(tdos.densities) > 1 else ""
    densities = np.sum(list(tdos.densities.values()), axis=0)
    return ReadDos(_checked(np.array(tdos.energies, float), densities, float(tdos.efermi)), n_atoms, note)


def _columns(columns: Columns) -> ReadDos:
    text = columns.header_text
    wrong = next((line for line in columns.interruptions if not line.is_comment), None)
    if wrong is not None:
        raise ValueError(f"line {wrong.line} holds {wrong.text[:40]!r}, expected an energy and a density")
    unit = next((ev for unit_name, ev in UNITS if unit_name.search(FERMI.sub("", text))), 1.0)
    efermi = _fermi(text, unit)
    values = columns.values
    names = _names(columns, values.shape[1])
    density, note = _total(values, names)
    energies = values[:, 0] * unit
    if unit != 1.0:
        per_ev = re.search(r"/\s*ev", text, re.IGNORECASE) is not None
        density = density if per_ev else density / unit
        note = "; ".join(filter(None, (note, f"energies times {unit:g}")))
    return ReadDos(_checked(energies, density, efermi), None, note)


def _fermi(text: str, unit_ev: float) -> float:
    """Find the Fermi energy that a header says, in eV."""
    if RELATIVE.search(text):
        return 0.0
    match = FERMI.search(text)
    if match:
        named = (match[2] or "").lower()
        factor = {"": unit_ev, "ev": 1.0}.get(named, RYDBERG_EV if named.startswith("r") else HARTREE_EV)
        return float(match[1]) * factor
    raise ValueError(
        "its header names no Fermi energy; write a line such as '# efermi = 5.12' above the data, or name the first "
        "column 'E-E_F' if energies are relative to it"
    )


def _names(columns: Columns, n_columns: int) -> list[str]:
    """Find the names of the columns, also where the Fermi energy stands in the same line."""
    if columns.names:
        return columns.names
    for line in reversed(columns.header[-3:]):
        bare = FERMI.sub("", line)
        for fields in (re.split(r"\s{2,}|\t|[,;]", bare), bare.split()):
            names = [field.strip().lower() for field in fields if field.strip()]
            if len(names) == n_columns:
                return names
    return []


def _total(values: FloatArray, names: list[str]) -> tuple[FloatArray, str]:
    """Return the column of the total, or the sum of both spins, and a note on the latter."""
    if not names and values.shape[1] == 2:  # noqa: PLR2004
        return values[:, 1], ""
    if not names:
        raise ValueError(f"its {values.shape[1]} columns have no names, expected a header such as 'energy, up, down'")
    others = [(i, name) for i, name in enumerate(names) if i and not INTEGRATED.search(name)]
    up = [i for i, name in others if UP.search(name) and not DOWN.search(name)]
    down = [i for i, name in others if DOWN.search(name)]
    if len(up) == 1 and len(down) == 1:
        return np.abs(values[:, up[0]]) + np.abs(values[:, down[0]]), "2 spins added"  # down is often drawn downwards
    total = [i for i, name in others if TOTAL.search(name)]
    if len(total) == 1 or len(others) == 1:
        return values[:, (total or [others[0][0]])[0]], ""
    raise ValueError(f"its columns {', '.join(names)} do not say which holds the total density of states")


def _checked(energies: FloatArray, densities: FloatArray, efermi_ev: float) -> Dos:
    if len(energies) < FEWEST_ENERGIES:
        raise ValueError(f"it holds {len(energies)} energies, expected at least {FEWEST_ENERGIES}")
    if not (np.isfinite(energies).all() and np.isfinite(densities).all() and isfinite(efermi_ev)):
        raise ValueError("its energies, densities or Fermi energy hold a value that is not finite")
    order = np.argsort(energies, kind="stable")
    energies, densities = energies[order], densities[order]
    same = np.diff(energies.astype(np.float32)) <= 0
    if same.any():
        raise ValueError(f"its energy {energies[int(same.argmax())]:g} eV stands more than once, expected each once")
    if not (densities > 0).any():
        raise ValueError("its densities are all zero")
    if not energies[0] <= efermi_ev <= energies[-1]:
        raise ValueError(
            f"its Fermi energy {efermi_ev:g} eV lies beyond the energies from {energies[0]:g} to {energies[-1]:g} eV; "
            "both have to be on one scale"
        )
    return Dos(energies, densities, efermi_ev)


def likeness(path: Path) -> float:
    """Return 1 if a file's header or keys speak of energies and a Fermi level."""
    name = bare_name(path)
    if name.endswith(".xml"):
        return 1.0
    text = read_text(path)
    if name.endswith(".json"):
        return float("energies" in text)
    with refusals_of(path):
        return float(share_of_rows(text) >= MOSTLY_NUMBERS and looks_like_dos(parse_columns(text)))


def row(path: Path, **_: Any) -> dict[str, Any]:
    """Read a density of states as a row of `COLUMNS`; see :func:`read_dos` for errors."""
    contents = read_dos(path)
    return {
        "energies": contents.dos.energies_ev.astype(np.float32).tolist(),
        "densities": contents.dos.densities.astype(np.float32).tolist(),
        "efermi": contents.dos.efermi_ev,
        "n_atoms": contents.n_atoms,
        "note": contents.note,
    }
