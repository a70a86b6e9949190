"""Density of states of a crystal by GFN1-xTB: semi-empirical, seconds a structure, for what comes without one.

The Gamma point of a supercell, as the embedded sample was made. Needs the optional extra `xtb`. The calculation takes
as many threads as the environment allows when tblite is loaded (OMP_NUM_THREADS).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.base.errors import UserError
from matbind.materials.structure import Structure
from matbind.modalities.dos.records import Dos
from matbind.settings.complete import XtbSettings

FloatArray = npt.NDArray[np.float64]

HARTREE_EV = 27.211386245988
BOHR_ANGSTROM = 0.529177210903
HEAVIEST_KNOWN = 86
LENGTH_TIE_ANGSTROM = 1e-6  # vectors of one length come with noise; the first of them is repeated first
FERMI_WIDTH_EV = 0.025
MISSING_ELECTRONS = 4e-14  # below the Fermi energy, of the supercell: about what sums of doubles resolve
SIGNIFICANT_DIGITS = 4
SMALLEST_DENSITY = 1e-4
WIDTHS_SEEN = 10.0  # a Gaussian is nothing that many widths from its centre


@dataclass(frozen=True, slots=True)
class XtbDos:
    """A density of states and the cells it is of.

    Attributes:
        dos: in states / eV / primitive cell.
        n_atoms: of the primitive cell.
        supercell: repeats of the primitive vectors in the calculation.
    """

    dos: Dos
    n_atoms: int
    supercell: tuple[int, int, int]


def calculate(structure: Structure, *, settings: XtbSettings) -> XtbDos:
    """Calculate a density of states in the primitive cell.

    Energies are on the absolute scale of the calculation; they begin at least 1 eV below the lowest orbital. Densities
    have four significant digits.

    Args:
        structure: any cell of an ordered crystal.
        settings: of the calculation.

    Returns:
        The density of states, per primitive cell, whose integral to the Fermi energy is the number of its valence
        electrons. In a gap the Fermi energy lies between the band edges.

    Raises:
        ValueError: if a site is partly occupied or holds several species, an element is unknown to GFN1-xTB, the
            calculation does not converge or has a singular overlap matrix, or its orbitals are spurious.
        UserError: if tblite is not installed.

    Source: Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017).
    """
    if len(structure.atomic_number) != structure.n_sites or (structure.occupancy < 1).any():
        raise ValueError("The structure is disordered, expected one fully occupying species on each site.")
    if structure.atomic_number.max() > HEAVIEST_KNOWN:
        raise ValueError(
            f"Atomic number {structure.atomic_number.max()} is unknown to GFN1-xTB, expected at most {HEAVIEST_KNOWN}."
        )
    primitive = structure.to_pymatgen().get_primitive_structure()
    repeats = supercell(np.array(primitive.lattice.abc), len(primitive), settings.supercell_atoms)
    orbitals_ev, n_electrons = _orbitals(primitive * repeats, settings)
    efermi_ev = fermi_energy(orbitals_ev, n_electrons)
    if orbitals_ev[0] < efermi_ev - settings.below_efermi_ev:
        raise ValueError(
            f"The calculation has a spurious orbital {efermi_ev - orbitals_ev[0]:.1f} eV below the Fermi energy, "
            f"expected at most {settings.below_efermi_ev:g} eV."
        )
    start_ev = np.floor(orbitals_ev[0] - 1.0)
    n_points = int(np.ceil((efermi_ev + settings.above_efermi_ev - start_ev) / settings.step_ev))
    energies_ev = np.round(start_ev + settings.step_ev * np.arange(n_points), 6)
    densities = broadened(orbitals_ev, energies_ev, settings.broadening_ev) / np.prod(repeats)
    return XtbDos(Dos(energies_ev, _rounded(densities), round(efermi_ev, 4)), len(primitive), repeats)


def provenance() -> str:
    """Return the method and the version of the library, which is not loaded for it.

    Raises:
        UserError: if tblite is not installed.
    """
    if find_spec("tblite") is None:
        raise UserError(
            "Densities of states need tblite, which is not installed: expected the extra `xtb` "
            "(pip install 'matbind[xtb]')."
        )
    return f"GFN1-xTB, tblite {version('tblite')} (matbind)"


def supercell(lengths_angstrom: FloatArray, n_atoms: int, most_atoms: int) -> tuple[int, int, int]:
    """Return how often a cell is repeated along each vector: along the shortest, as long as the atoms are not too many.

    Args:
        lengths_angstrom: of the three vectors.
        n_atoms: in the cell.
        most_atoms: in the supercell, unless the cell itself has more.
    """
    repeats = np.ones(3, dtype=np.int64)
    while True:
        lengths = lengths_angstrom * repeats
        longer = repeats.copy()
        longer[np.argmax(lengths <= lengths.min() + LENGTH_TIE_ANGSTROM)] += 1
        if n_atoms * longer.prod() > most_atoms:
            return int(repeats[0]), int(repeats[1]), int(repeats[2])
        repeats = longer


def fermi_energy(orbitals_ev: FloatArray, n_electrons: int) -> float:
    """Return the energy up to which the orbitals hold the electrons, with a filling of 0.025 eV Fermi width.

    Where a gap is so wide that any energy inside would do, it is the lowest of them, about 0.8 eV above the valence
    band: other than the middle, that does not depend on the conduction band, which is the less certain one.

    Args:
        orbitals_ev: ascending, two electrons each.
        n_electrons: to be held.

    Raises:
        ValueError: if the orbitals cannot hold the electrons.
    """
    from scipy.special import expit

    pairs, single = divmod(n_electrons, 2)
    if not 0 < n_electrons < 2 * len(orbitals_ev):
        raise ValueError(f"{len(orbitals_ev)} orbitals cannot hold {n_electrons} electrons.")

    def surplus(energy_ev: float) -> float:
        # Electrons above minus holes below: neither is lost in rounding, as it would be in the sum of all electrons.
        occupied = expit((energy_ev - orbitals_ev[pairs:]) / FERMI_WIDTH_EV)
        empty = expit((orbitals_ev[:pairs] - energy_ev) / FERMI_WIDTH_EV)
        return float(2 * occupied.sum() - 2 * empty.sum() - single)

    low, high = float(orbitals_ev[0]) - 1.0, float(orbitals_ev[-1]) + 1.0
    while (middle := 0.5 * (low + high)) not in {low, high}:
        if surplus(middle) < -MISSING_ELECTRONS:
            low = middle
        else:
            high = middle
    return high


def broadened(orbitals_ev: FloatArray, energies_ev: FloatArray, width_ev: float) -> FloatArray:
    """Return the density of Gaussians, two states an orbital.

    Args:
        orbitals_ev: shape (n,).
        energies_ev: shape (m,).
        width_ev: standard deviation.

    Returns:
        States / eV, shape (m,).
    """
    near = orbitals_ev[orbitals_ev < energies_ev[-1] + WIDTHS_SEEN * width_ev]
    distance = (energies_ev[:, None] - near) / width_ev
    density: FloatArray = 2 * np.exp(-0.5 * distance**2).sum(axis=1) / (width_ev * np.sqrt(2 * np.pi))
    return density


def _orbitals(crystal: Any, settings: XtbSettings) -> tuple[FloatArray, int]:
    """Return orbital energies in eV, ascending, and the number of electrons of a `pymatgen.core.Structure`."""
    provenance()
    from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
    from tblite.interface import Calculator

    try:
        calculator = Calculator(
            "GFN1-xTB",
            np.array([species.Z for species in crystal.species]),
            crystal.cart_coords / BOHR_ANGSTROM,
            lattice=crystal.lattice.matrix / BOHR_ANGSTROM,
            periodic=np.ones(3, dtype=bool),
            color=False,
            logger=lambda _message: None,
        )
        calculator.set("verbosity", 0)
        calculator.set("temperature", settings.electronic_temperature_hartree)
        calculator.set("accuracy", settings.accuracy)
        calculator.set("max-iter", settings.max_cycles)
        result = calculator.singlepoint()
    except (TBLiteRuntimeError, TBLiteValueError) as error:
        raise ValueError(_in_words(str(error))) from error
    orbitals_ev = np.asarray(result.get("orbital-energies"), dtype=np.float64).ravel() * HARTREE_EV
    n_electrons = float(np.sum(result.get("orbital-occupations")))
    if not (np.isfinite(orbitals_ev).all() and np.isfinite(n_electrons)):
        raise ValueError("The calculation gave orbital energies that are not finite.")
    return np.sort(orbitals_ev), round(n_electrons)


def _in_words(message: str) -> str:
    """Say why tblite gave up."""
    message = " ".join(message.split())
    if "not converged" in message:
        return f"The calculation did not converge ({message})."
    if "sygvd" in message:  # a generalized eigenvalue problem fails where its second matrix is not positive definite
        return f"The overlap matrix of the calculation is singular ({message})."
    return f"The calculation failed ({message})."


def _rounded(densities: FloatArray) -> FloatArray:
    """Round densities to four digits: they are no more exact, and files become much smaller."""
    kept = np.where(densities < SMALLEST_DENSITY, 0.0, densities)
    exponent = np.floor(np.log10(np.where(kept > 0, kept, 1.0)))
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - exponent)
    rounded: FloatArray = np.round(kept * scale) / scale
    return rounded
