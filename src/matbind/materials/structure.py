"""A crystal as plain arrays: what every feature function takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HEAVIEST_ATOMIC_NUMBER = 118
OCCUPANCY_TOLERANCE = 1e-3  # CIF files round one third to 0.333 and two thirds to 0.667
FLATTEST_CELL = 1e-6  # volume over the product of the edge lengths; 1 for an orthogonal cell


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One periodic crystal; a site may hold several species, each with its occupancy.

    Ordered crystals have one species entry a site with occupancy 1. The occupancies of a site may sum to less than 1
    (vacancies).

    Args:
        lattice: (3, 3) rows a, b, c in angstrom.
        frac_coords: (n_sites, 3) fractional coordinates; they need not lie in [0, 1).
        site_index: (n_species_entries,) the site of each species entry, ascending, every site at least once.
        atomic_number: (n_species_entries,) 1 to 118.
        occupancy: (n_species_entries,) above 0, summing to at most 1 on each site.

    Raises:
        ValueError: an array has a wrong shape or a value that no crystal has.
    """

    lattice: FloatArray
    frac_coords: FloatArray
    site_index: IntArray
    atomic_number: IntArray
    occupancy: FloatArray

    def __post_init__(self) -> None:
        for name, dtype in (("lattice", np.float64), ("frac_coords", np.float64), ("occupancy", np.float64)):
            object.__setattr__(self, name, _plain(getattr(self, name), dtype=dtype))
        for name in ("site_index", "atomic_number"):
            object.__setattr__(self, name, _as_integers(getattr(self, name), name=name))
        _check_cell(self.lattice, self.frac_coords)
        _check_species(self.site_index, self.atomic_number, self.occupancy, n_sites=len(self.frac_coords))

    @classmethod
    def ordered(cls, lattice: npt.ArrayLike, frac_coords: npt.ArrayLike, atomic_numbers: npt.ArrayLike) -> Self:
        """Build a crystal with exactly one fully occupying species on each site.

        Args:
            lattice: (3, 3) rows a, b, c in angstrom.
            frac_coords: (n_sites, 3).
            atomic_numbers: (n_sites,).

        Raises:
            ValueError: as the class says, or the two arrays count different sites.
        """
        numbers = _as_integers(atomic_numbers, name="atomic_numbers")
        coords = np.asarray(frac_coords, dtype=np.float64)
        if numbers.ndim != 1 or len(numbers) != len(coords):
            raise ValueError(
                f"atomic_numbers has shape {numbers.shape}, expected one number for each of {len(coords)} sites."
            )
        return cls(
            lattice=np.asarray(lattice, dtype=np.float64),
            frac_coords=coords,
            site_index=np.arange(len(numbers), dtype=np.int64),
            atomic_number=numbers,
            occupancy=np.ones(len(numbers)),
        )

    @classmethod
    def from_pymatgen(cls, structure: Any) -> Self:
        """Convert a `pymatgen.core.Structure`; oxidation states and site properties are left behind.

        Raises:
            ValueError: as the class says, and for dummy species, which have no atomic number.
        """
        from pymatgen.core.periodic_table import DummySpecies

        site_index: list[int] = []
        atomic_number: list[int] = []
        occupancy: list[float] = []
        for index, site in enumerate(structure):
            for species, amount in site.species.items():
                if isinstance(species, DummySpecies):
                    raise ValueError(f"Site {index} holds the dummy {species}, expected an element.")  # noqa: TRY004
                site_index.append(index)
                atomic_number.append(int(species.Z))
                occupancy.append(float(amount))
        return cls(
            lattice=np.array(structure.lattice.matrix, dtype=np.float64),
            frac_coords=np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
            site_index=np.array(site_index, dtype=np.int64),
            atomic_number=np.array(atomic_number, dtype=np.int64),
            occupancy=np.array(occupancy, dtype=np.float64),
        )

    def to_pymatgen(self) -> Any:
        """Return the same crystal as a `pymatgen.core.Structure`, sites in the same order."""
        from pymatgen.core.periodic_table import Element
        from pymatgen.core.structure import Structure as PymatgenStructure

        species: list[dict[Any, float]] = [{} for _ in range(self.n_sites)]
        for site, number, amount in zip(self.site_index, self.atomic_number, self.occupancy, strict=True):
            element = Element.from_Z(int(number))
            species[site][element] = species[site].get(element, 0.0) + float(amount)
        return PymatgenStructure(self.lattice, species, self.frac_coords)

    @property
    def n_sites(self) -> int:
        """Number of sites in the cell."""
        return len(self.frac_coords)

    @property
    def volume_angstrom3(self) -> float:
        """Cell volume in cubic angstrom, positive for left-handed cells too."""
        return float(abs(np.linalg.det(self.lattice)))


def lower_triangular(cell: FloatArray) -> FloatArray:
    """Turn a cell, direct or reciprocal, so that its first row lies along x and its second in the xy plane.

    Lengths and angles are kept. Lattice points inside a sphere are then, for each third index, an interval of the
    second, and for each of those an interval of the first: a search visits just them, however skewed the cell is.

    Args:
        cell: (3, 3) rows are the cell vectors.

    Returns:
        (3, 3) lower triangular with a positive diagonal, the unit of `cell`.
    """
    _, upper = np.linalg.qr(cell.T)
    return np.ascontiguousarray(upper.T * np.sign(np.diag(upper)))


def _plain(values: npt.ArrayLike, *, dtype: type) -> Any:
    """Copy only where needed: compiled functions would be compiled anew for read-only, strided or mapped arrays."""
    if type(values) is np.ndarray and values.dtype == dtype and values.flags.carray:
        return values  # np.require says the same, but slowly
    return np.require(np.asarray(values), dtype=dtype, requirements=["C", "A", "W", "E"])


def _as_integers(values: npt.ArrayLike, *, name: str) -> IntArray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {array.dtype} values, expected integers.")
    integers: IntArray = _plain(array, dtype=np.int64)
    return integers


def _check_cell(lattice: FloatArray, frac_coords: FloatArray) -> None:
    if lattice.shape != (3, 3):
        raise ValueError(f"lattice has shape {lattice.shape}, expected (3, 3).")
    if frac_coords.ndim != 2 or frac_coords.shape[1] != 3 or not len(frac_coords):  # noqa: PLR2004
        raise ValueError(f"frac_coords has shape {frac_coords.shape}, expected (n_sites, 3) with at least one site.")
    for name, values in (("lattice", lattice), ("frac_coords", frac_coords)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds a value that is not finite.")
    edges = np.linalg.norm(lattice, axis=1)
    if abs(np.linalg.det(lattice)) <= FLATTEST_CELL * edges.prod():
        raise ValueError(f"lattice is singular: edges of {edges.tolist()} angstrom span no volume.")


def _check_species(site_index: IntArray, atomic_number: IntArray, occupancy: FloatArray, *, n_sites: int) -> None:
    if not site_index.shape == atomic_number.shape == occupancy.shape or site_index.ndim != 1:
        raise ValueError(
            f"site_index, atomic_number and occupancy have shapes {site_index.shape}, {atomic_number.shape} and "
            f"{occupancy.shape}, expected one common (n_species_entries,)."
        )
    ends = site_index[[0, -1]].tolist() if len(site_index) else []
    steps = (site_index[1:] - site_index[:-1]).view(np.uint64)  # a step back is a large number
    if ends != [0, n_sites - 1] or (steps > 1).any():
        raise ValueError(f"site_index must ascend from 0 to {n_sites - 1} and name every site.")
    wrong = (atomic_number < 1) | (atomic_number > HEAVIEST_ATOMIC_NUMBER)
    if wrong.any():
        raise ValueError(f"atomic_number {atomic_number[wrong][0]} is not between 1 and {HEAVIEST_ATOMIC_NUMBER}.")
    if not np.isfinite(occupancy).all() or (occupancy <= 0).any():
        raise ValueError("occupancy must be finite and above 0 for every species.")
    totals = np.bincount(site_index, weights=occupancy)
    if totals.max() > 1 + OCCUPANCY_TOLERANCE:
        raise ValueError(f"Occupancies of site {totals.argmax()} sum to {totals.max():.4f}, expected at most 1.")


def row_of(structure: Structure, formula: str) -> dict[str, Any]:
    """Return the columns of a table of structures; the last two are None unless a site is shared or partly empty."""
    ordered = len(structure.occupancy) == structure.n_sites and bool((structure.occupancy == 1).all())
    return {
        "formula": formula,
        "lattice": structure.lattice.ravel().tolist(),
        "atomic_numbers": structure.atomic_number.tolist(),
        "frac_coords": structure.frac_coords.ravel().tolist(),
        "site_index": None if ordered else structure.site_index.tolist(),
        "occupancy": None if ordered else structure.occupancy.tolist(),
    }


def structure_of(row: Mapping[str, Any]) -> Structure:
    """Return the structure of one row of a table of structures.

    Raises:
        ValueError: if the arrays do not fit together or describe no crystal.
    """
    lattice = np.asarray(row["lattice"], dtype=float)
    coords = np.asarray(row["frac_coords"], dtype=float)
    if lattice.shape != (9,):
        raise ValueError(f"lattice has {lattice.size} numbers, expected 9")
    if coords.size == 0 or coords.size % 3:
        raise ValueError(f"frac_coords has {coords.size} numbers, expected 3 a site")
    numbers = np.asarray(row["atomic_numbers"], dtype=np.int64)
    lattice, coords = lattice.reshape(3, 3), coords.reshape(-1, 3)
    if row.get("site_index") is None:
        return Structure.ordered(lattice, coords, numbers)
    occupancy = np.asarray(row["occupancy"], dtype=float)
    return Structure(lattice, coords, np.asarray(row["site_index"], dtype=np.int64), numbers, occupancy)
