"""Kinds of fault that data come with, each as a change of one row, to measure what the checks catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Row = dict[str, Any]
Change = Callable[[Row, Row, np.random.Generator], None]
NIOBIUM = 41
RYDBERG_EV, HARTREE_EV, BOHR_ANGSTROM = 13.605693, 27.211386, 0.529177


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: what is wrong.
        modality: whose table it is in.
        change: what is done to the row, given that of another material.
        mode: `change` alters the row, `exchange` swaps its id with another's, `copy` adds a changed copy of the row.
        eligible: whether a row can have the fault at all.
        partly: why some faults of this kind leave nothing that could be seen; empty where all must be caught.
        of_formula: whether any material of the formula may be the one that is set aside.
    """

    name: str
    modality: str
    change: Change
    mode: Literal["change", "exchange", "copy"] = "change"
    eligible: Callable[[Row], bool] = lambda row: True  # noqa: ARG005
    partly: str = ""
    of_formula: bool = False

    @property
    def of_shared_formula(self) -> bool:
        """Whether the material must have others of its formula."""
        return self.of_formula and self.mode == "change"


def _set(column: str, value: Callable[[Row], Any]) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        row[column] = value(row)

    return change


def _fixed(column: str, value: Any) -> Change:
    return _set(column, lambda row: value)  # noqa: ARG005


def _point(column: str, value: float) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        row[column] = list(row[column])
        row[column][int(rng.integers(len(row[column])))] = value

    return change


def _scaled(**factors: float) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        for column, factor in factors.items():
            values = np.asarray(row[column], dtype=float) * factor
            row[column] = values.tolist()

    return change


def _from_other(*columns: str) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        row.update({column: other[column] for column in columns})

    return change


def _overlap(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    coords = np.reshape(row["frac_coords"], (-1, 3))
    coords[-1] = coords[0] + 0.01
    row["frac_coords"] = coords.ravel().tolist()


def _cartesian(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    row["frac_coords"] = (np.reshape(row["frac_coords"], (-1, 3)) @ np.reshape(row["lattice"], (3, 3))).ravel().tolist()


def _another_element(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    first = row["atomic_numbers"][0]
    replacement = NIOBIUM if first != NIOBIUM else NIOBIUM + 1
    row["atomic_numbers"] = [replacement if number == first else number for number in row["atomic_numbers"]]


def _overfull(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    row["site_index"] = list(range(len(row["atomic_numbers"])))
    row["occupancy"] = [1.3] * len(row["atomic_numbers"])


def _other_side(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    row["split"] = "test" if row["split"] == "train" else "train"


def _copy_on_other_side(row: Row, other: Row, rng: np.random.Generator) -> None:
    _other_side(row, other, rng)
    row["material_id"] += "-copy"
    row["lattice"] = (np.asarray(row["lattice"]) * 1.002).tolist()


def _cut(low: float, high: float) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        relative = np.asarray(row["energies"]) - row["efermi"]
        inside = (relative >= low) & (relative <= high)
        row["energies"] = np.asarray(row["energies"])[inside].tolist()
        row["densities"] = np.asarray(row["densities"])[inside].tolist()

    return change


def _every(step: int) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
        row["energies"], row["densities"] = row["energies"][::step], row["densities"][::step]

    return change


def _energy_unit(unit_ev: float, *, densities_too: bool) -> Change:
    def change(row: Row, other: Row, rng: np.random.Generator) -> None:
        _scaled(energies=1 / unit_ev, **({"densities": unit_ev} if densities_too else {}))(row, other, rng)
        row["efermi"] /= unit_ev

    return change


def _noise(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    noise = rng.random(len(row["pattern"]))
    row["pattern"] = (noise / noise.max()).tolist()


def _other_wavelength(row: Row, other: Row, rng: np.random.Generator) -> None:
    # Mo K-alpha angles of the same planes, on the same axis of angles.
    angles = np.linspace(5, 90, len(row["pattern"]))
    as_copper = 2 * np.degrees(np.arcsin(np.clip(np.sin(np.radians(angles / 2)) * 1.54184 / 0.71073, 0, 1)))
    row["pattern"] = np.interp(as_copper, angles, row["pattern"], left=0, right=0).tolist()
    _scaled(pattern=1 / max(*row["pattern"], 1e-9))(row, other, rng)


def _shifted(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    row["pattern"] = np.roll(row["pattern"], len(row["pattern"]) // 85).tolist()


def _nothing(row: Row, other: Row, rng: np.random.Generator) -> None:
    """Leave the row as it is: the fault is in its id."""


def _content_of_other(row: Row, other: Row, rng: np.random.Generator) -> None:  # noqa: ARG001
    row.update({column: value for column, value in other.items() if column != "material_id"})


def _several(column: str) -> Callable[[Row], bool]:
    return lambda row: len(row[column]) > 1


SAME_ELECTRONS = "the other material has as many electrons"
IN_GAP = "the shifted energy lies in the gap: every energy there is a Fermi energy"
BY_CHANCE = "its integral up to E_F happens to be that of the material"
SAME_PATTERN = "the other material has the same pattern but for rounding"

FAULTS: tuple[Fault, ...] = (
    Fault("lattice holds NaN", "crystal", _point("lattice", np.nan)),
    Fault("coordinate is infinite", "crystal", _point("frac_coords", np.inf)),
    Fault("lattice of 8 numbers", "crystal", _set("lattice", lambda row: row["lattice"][:8])),
    Fault("an atom without coordinates", "crystal", _set("atomic_numbers", lambda row: [*row["atomic_numbers"], 8])),
    Fault("flat cell", "crystal", _set("lattice", lambda row: [*row["lattice"][:6], *row["lattice"][:3]])),
    Fault(
        "lattice in bohr",
        "crystal",
        _scaled(lattice=1 / BOHR_ANGSTROM),
        partly="contacts were far shorter than their radii",
    ),
    Fault("lattice in nanometres", "crystal", _scaled(lattice=0.1)),
    Fault("lattice in picometres", "crystal", _scaled(lattice=100.0)),
    Fault("overlapping atoms", "crystal", _overlap, eligible=_several("atomic_numbers")),
    Fault(
        "Cartesian coordinates",
        "crystal",
        _cartesian,
        eligible=lambda row: bool(np.abs(np.asarray(row["frac_coords"]) % 1).max() > 0.3),  # noqa: PLR2004
        partly="modulo the cell they are still a possible crystal",
    ),
    Fault("atomic number 0", "crystal", _set("atomic_numbers", lambda row: [0, *row["atomic_numbers"][1:]])),
    Fault("atomic number 119", "crystal", _set("atomic_numbers", lambda row: [119, *row["atomic_numbers"][1:]])),
    Fault("formula of another material", "crystal", _from_other("formula")),
    Fault("an element replaced", "crystal", _another_element),
    Fault("formula that is none", "crystal", _set("formula", lambda row: row["formula"].lower() + "?")),
    Fault("site occupied to 1.3", "crystal", _overfull),
    Fault("row twice", "crystal", _nothing, mode="copy"),
    Fault("id of another row", "crystal", _content_of_other, mode="copy"),
    Fault("no id", "crystal", _fixed("material_id", None)),
    Fault("unknown split", "crystal", _fixed("split", "tets")),
    Fault("formula on two sides", "crystal", _other_side, of_formula=True),
    Fault("copy on another side", "crystal", _copy_on_other_side, mode="copy", of_formula=True),
    Fault("density NaN", "dos", _point("densities", np.nan)),
    Fault("density infinite", "dos", _point("densities", np.inf)),
    Fault("density negative", "dos", _point("densities", -1.0)),
    Fault("density too few", "dos", _set("densities", lambda row: row["densities"][:-7])),
    Fault("energies reversed", "dos", _set("energies", lambda row: row["energies"][::-1])),
    Fault("densities reversed", "dos", _set("densities", lambda row: row["densities"][::-1]), partly=BY_CHANCE),
    Fault(
        "two energies swapped",
        "dos",
        _set("energies", lambda row: [row["energies"][1], row["energies"][0], *row["energies"][2:]]),
    ),
    Fault("E_F 3 eV too high", "dos", _set("efermi", lambda row: row["efermi"] + 3.0), partly=IN_GAP),
    Fault("E_F 3 eV too low", "dos", _set("efermi", lambda row: row["efermi"] - 3.0), partly=IN_GAP),
    Fault("E_F outside", "dos", _set("efermi", lambda row: row["efermi"] + 100.0)),
    Fault("E_F missing", "dos", _fixed("efermi", None)),
    Fault(
        "E_F zero, energies absolute",
        "dos",
        _fixed("efermi", 0.0),
        eligible=lambda row: abs(row["efermi"]) > 1,
    ),
    Fault("energies in Ry", "dos", _energy_unit(RYDBERG_EV, densities_too=False)),
    Fault("energies and densities in Ry", "dos", _energy_unit(RYDBERG_EV, densities_too=True)),
    Fault("energies and densities in hartree", "dos", _energy_unit(HARTREE_EV, densities_too=True)),
    Fault("energies in meV", "dos", _energy_unit(1e-3, densities_too=False)),
    Fault("density zero", "dos", _scaled(densities=0.0)),
    Fault(
        "density constant",
        "dos",
        _set("densities", lambda row: [float(np.mean(row["densities"]))] * len(row["densities"])),
    ),
    Fault("one spin only", "dos", _scaled(densities=0.5)),
    Fault("counted twice", "dos", _scaled(densities=2.0)),
    Fault(
        "per atom",
        "dos",
        lambda row, other, rng: _scaled(densities=1 / row["n_sites"])(row, other, rng),
        eligible=lambda row: row["n_sites"] > 1,
    ),
    Fault("ends 2 eV above E_F", "dos", _cut(-np.inf, 2.0)),
    Fault(
        "begins 3 eV below E_F",
        "dos",
        _cut(-3.0, np.inf),
        eligible=lambda row: row["energies"][0] + 4 < row["efermi"],
        partly="there were hardly any states below",
    ),
    Fault("every 20th point", "dos", _every(20)),
    Fault("DOS of another material", "dos", _nothing, mode="exchange", partly=SAME_ELECTRONS),
    Fault("DOS of no material", "dos", _set("material_id", lambda row: row["material_id"] + "-lost")),
    Fault("DOS row twice", "dos", _nothing, mode="copy"),
    Fault("pattern NaN", "pxrd", _point("pattern", np.nan)),
    Fault("pattern infinite", "pxrd", _point("pattern", np.inf)),
    Fault("pattern negative", "pxrd", _point("pattern", -0.1)),
    Fault("pattern too short", "pxrd", _set("pattern", lambda row: row["pattern"][:-1])),
    Fault("pattern empty", "pxrd", _fixed("pattern", [])),
    Fault("pattern in counts", "pxrd", _scaled(pattern=7312.0)),
    Fault("pattern in percent", "pxrd", _scaled(pattern=100.0)),
    Fault("pattern constant", "pxrd", _set("pattern", lambda row: [1.0] * len(row["pattern"]))),
    Fault("pattern zero", "pxrd", _scaled(pattern=0.0)),
    Fault("pattern reversed", "pxrd", _set("pattern", lambda row: row["pattern"][::-1])),
    Fault("pattern of Mo K-alpha", "pxrd", _other_wavelength),
    Fault("pattern shifted by 1 degree", "pxrd", _shifted),
    Fault("pattern of noise", "pxrd", _noise),
    Fault("pattern of another material", "pxrd", _nothing, mode="exchange", partly=SAME_PATTERN),
    Fault("text empty", "text", _fixed("text", "")),
    Fault("text missing", "text", _fixed("text", None)),
    Fault("text blank", "text", _fixed("text", " \n\t " * 30)),
    Fault("text N/A", "text", _fixed("text", "N/A.")),
    Fault("text of another material", "text", _nothing, mode="exchange"),
    Fault(
        "text of other elements",
        "text",
        _set("text", lambda row: row["text"].replace("O", "S") if "O(" in row["text"] else "Xe(1) " + row["text"]),
    ),
    Fault(
        "text garbled",
        "text",
        _set("text", lambda row: row["text"].replace("Å", "Å".encode().decode("latin-1")) + " \ufffd."),
    ),
    Fault("text cut off", "text", _set("text", lambda row: row["text"][: len(row["text"]) // 2].rstrip(" ."))),
    Fault("text repeated 400 times", "text", _set("text", lambda row: row["text"] * 400)),
)
