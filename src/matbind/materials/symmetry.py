"""Symmetry of crystals: space group and prototype, rotations of the point group, reduced primitive cell.

A prototype is the anonymous formula, the space group, and for every element the orbits it fills, each written as its
multiplicity in the conventional cell and the signs of its site symmetry, sorted (``3_/4mmm``). Wyckoff letters
themselves depend on the choice of origin: the same cubic perovskite is ``a b c`` or ``b a d``, so letters would take
one prototype apart.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import gcd
from typing import Any

import numpy as np

from matbind.base.parallel import Workers
from matbind.materials.structure import FloatArray, Structure

CHUNK_SIZE = 128  # structures a task: half a second of work, so that no worker waits long for the last one
SYMPREC_ANGSTROM = 0.01  # the tolerance of the Materials Project's own symmetry labels is 0.1, pymatgen's default 0.01

# Highest space group of each crystal system.
_SYSTEMS = (
    (2, "triclinic"),
    (15, "monoclinic"),
    (74, "orthorhombic"),
    (142, "tetragonal"),
    (167, "trigonal"),
    (194, "hexagonal"),
    (230, "cubic"),
)

_Content = tuple[tuple[int, float], ...]  # atomic numbers and occupancies of a site


@dataclass(frozen=True, slots=True)
class Symmetry:
    """The symmetry of one crystal.

    Attributes:
        space_group: international number, 1 to 230.
        prototype: such as ``221 1:1_-3mm|1:1_-3mm|3:3_/4mmm``; crystals of one differ in their elements and lengths.
        sites: heaviest element of each kind of site, and what that kind fills, sorted.
    """

    space_group: int
    prototype: str
    sites: tuple[tuple[int, str], ...]

    @property
    def crystal_system(self) -> str:
        """One of the seven crystal systems."""
        return next(name for last, name in _SYSTEMS if self.space_group <= last)


def find_symmetry(structure: Structure) -> Symmetry | None:
    """Find the space group and prototype of one crystal; None where they could not be determined.

    Mixed sites are equivalent only when they hold the same species and occupancies.
    """
    contents = _contents(structure)
    kinds = _site_kinds(contents)
    cell = (structure.lattice, structure.frac_coords, kinds)
    dataset = _spglib("get_symmetry_dataset", cell, symprec=SYMPREC_ANGSTROM)
    if dataset is None:
        return None
    orbits: dict[int, list[str]] = {kind: [] for kind in kinds}
    first = np.unique(dataset.crystallographic_orbits)
    per_conventional_cell = len(dataset.std_types) / structure.n_sites
    for site in first:
        n_sites = np.count_nonzero(dataset.crystallographic_orbits == site) * per_conventional_cell
        # Which axis comes first in the symbol depends on the setting; how many of each kind there are does not.
        symbol = "".join(sorted(dataset.site_symmetry_symbols[site].replace(".", "")))
        orbits[kinds[site]].append(f"{round(n_sites)}_{symbol}")
    amounts = Counter(kinds)
    unit = gcd(*amounts.values())
    filled = {kind: f"{amounts[kind] // unit}:{','.join(sorted(orbits[kind]))}" for kind in orbits}
    heaviest = {kind: max(content)[0] for kind, content in zip(kinds, contents, strict=True)}
    sites = tuple(sorted((heaviest[kind], filled[kind]) for kind in orbits))
    return Symmetry(int(dataset.number), f"{dataset.number} {'|'.join(sorted(filled.values()))}", sites)


def find_symmetries(structures: Iterable[Structure], *, workers: Workers) -> list[Symmetry | None]:
    """Find the space groups and prototypes of many crystals.

    Args:
        structures: in any number; they are drawn in chunks.
        workers: where the chunks are worked on.

    Returns:
        One entry a structure, in order, None where the symmetry could not be determined.
    """
    remaining = iter(structures)
    chunks = iter(lambda: list(islice(remaining, CHUNK_SIZE)), [])
    return [symmetry for chunk in workers.map(_of_chunk, chunks) for symmetry in chunk]


def symmetry_rotations(structure: Structure) -> FloatArray:
    """Find the rotations of the crystal's point group, improper ones included.

    The cell is symmetrised within the tolerance first, so that the matrices are orthogonal and form a group.

    Returns:
        (n_rotations, 3, 3) distinct matrices acting on Cartesian column vectors; none at all, not even the identity,
        when the symmetry could not be determined.
    """
    cell = (structure.lattice, structure.frac_coords, _site_kinds(_contents(structure)))
    dataset = _spglib("get_symmetry_dataset", cell, symprec=SYMPREC_ANGSTROM)
    if dataset is None:
        return np.empty((0, 3, 3))
    fractional = np.unique(np.asarray(dataset.rotations, dtype=np.int64), axis=0).astype(np.float64)
    metric = structure.lattice @ structure.lattice.T
    metric = (fractional.transpose(0, 2, 1) @ metric @ fractional).mean(axis=0)
    # The symmetric stretch that turns the given cell into one with the averaged metric.
    inverse = np.linalg.inv(structure.lattice)
    eigenvalues, eigenvectors = np.linalg.eigh(inverse @ metric @ inverse.T)
    lattice = structure.lattice @ (eigenvectors * np.sqrt(eigenvalues)) @ eigenvectors.T
    rotations: FloatArray = lattice.T @ fractional @ np.linalg.inv(lattice.T)
    return rotations


def reduced_primitive_cell(structure: Structure) -> tuple[FloatArray, int]:
    """Find the Niggli-reduced primitive cell, which is the same whatever cell the crystal was given in.

    Returns:
        (3, 3) rows are the reduced vectors in angstrom, in the given orientation, shortest first; and its number of
        sites. The given cell itself where no primitive one could be determined.
    """
    cell = (structure.lattice, structure.frac_coords, _site_kinds(_contents(structure)))
    options = {"to_primitive": True, "no_idealize": True, "symprec": SYMPREC_ANGSTROM}
    primitive = _spglib("standardize_cell", cell, **options)
    lattice = None if primitive is None else _spglib("niggli_reduce", primitive[0])
    if lattice is None:
        return structure.lattice, structure.n_sites
    lattice = np.asarray(lattice, dtype=np.float64)
    return lattice[np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")], len(primitive[2])


def _of_chunk(structures: Sequence[Structure]) -> list[Symmetry | None]:
    return [find_symmetry(structure) for structure in structures]


def _contents(structure: Structure) -> list[_Content]:
    """Return what every site holds, ascending by atomic number, occupancies to three digits."""
    contents: list[dict[int, float]] = [{} for _ in range(structure.n_sites)]
    for site, number, amount in zip(
        structure.site_index.tolist(), structure.atomic_number.tolist(), structure.occupancy.tolist(), strict=True
    ):
        contents[site][number] = contents[site].get(number, 0.0) + amount
    return [tuple(sorted((number, round(amount, 3)) for number, amount in site.items())) for site in contents]


def _site_kinds(contents: Sequence[_Content]) -> list[int]:
    """Number the sites so that two share a number exactly when they hold the same species at the same occupancies."""
    numbers: dict[_Content, int] = {}
    return [numbers.setdefault(content, len(numbers) + 1) for content in contents]


def _spglib(function: str, *arguments: Any, **options: Any) -> Any:
    """Return what a function of spglib does, None where it fails."""
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # says only that a failure will raise in a later release
        try:
            return getattr(spglib, function)(*arguments, **options)
        except (RuntimeError, ValueError):
            return None
