"""Space group and prototype of crystals: the labels that probes learn and that near misses are told by.

A prototype is the anonymous formula, the space group, and for every element the orbits it fills, each written as its
multiplicity in the conventional cell and the signs of its site symmetry, sorted (``3_/4mmm``). Wyckoff letters
themselves depend on the choice of origin: the same cubic perovskite is ``a b c`` or ``b a d``, so letters would take
one prototype apart.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import gcd
from typing import Any

import numpy as np

from matbind.base.parallel import SerialPool, Workers
from matbind.materials.structure import Structure

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
        return crystal_system(self.space_group)


def crystal_system(space_group: int) -> str:
    """The crystal system of a space group.

    Args:
        space_group: international number.

    Raises:
        ValueError: if it is not between 1 and 230.
    """
    if space_group >= 1:
        for last, name in _SYSTEMS:
            if space_group <= last:
                return name
    raise ValueError(f"{space_group=} is not between 1 and 230")


def find_symmetry(structure: Structure, *, symprec: float = SYMPREC_ANGSTROM) -> Symmetry | None:
    """Space group and prototype of one crystal.

    Args:
        structure: mixed sites are equivalent only when they hold the same species and occupancies.
        symprec: tolerance on positions in angstrom.

    Returns:
        None where the symmetry could not be determined.
    """
    import spglib

    contents = _contents(structure)
    numbers: dict[_Content, int] = {}
    kinds = [numbers.setdefault(content, len(numbers) + 1) for content in contents]
    cell: Any = (structure.lattice, structure.frac_coords, kinds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # says only that a failure will raise in a later release
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except (RuntimeError, ValueError):
            dataset = None
    if dataset is None:
        return None
    orbits: dict[int, list[str]] = {kind: [] for kind in numbers.values()}
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
    sites = tuple(sorted((max(content)[0], filled[kind]) for content, kind in numbers.items()))
    return Symmetry(int(dataset.number), f"{dataset.number} {'|'.join(sorted(filled.values()))}", sites)


def find_symmetries(
    structures: Iterable[Structure],
    *,
    workers: Workers | None = None,
    symprec: float = SYMPREC_ANGSTROM,
    chunk_size: int = CHUNK_SIZE,
) -> list[Symmetry | None]:
    """Space groups and prototypes of many crystals.

    Args:
        structures: in any number; they are drawn in chunks.
        workers: where the chunks are worked on; this process if not given.
        symprec: tolerance on positions in angstrom.
        chunk_size: structures a task; changes the time, not the result.

    Returns:
        One entry a structure, in order, None where the symmetry could not be determined.
    """
    chunks = ((chunk, symprec) for chunk in _chunks(structures, chunk_size))
    return [found for chunk in (workers or SerialPool()).map(_of_chunk, chunks) for found in chunk]


def _of_chunk(task: tuple[Sequence[Structure], float]) -> list[Symmetry | None]:
    structures, symprec = task
    return [find_symmetry(structure, symprec=symprec) for structure in structures]


def _chunks(structures: Iterable[Structure], size: int) -> Iterator[list[Structure]]:
    remaining = iter(structures)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _contents(structure: Structure) -> list[_Content]:
    found: list[dict[int, float]] = [{} for _ in range(structure.n_sites)]
    for site, number, amount in zip(structure.site_index, structure.atomic_number, structure.occupancy, strict=True):
        found[site][int(number)] = found[site].get(int(number), 0.0) + float(amount)
    return [tuple(sorted((number, round(amount, 3)) for number, amount in site.items())) for site in found]
