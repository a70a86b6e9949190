"""Sites of many crystals at once: what is on them, and how far apart they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matbind.materials.contacts import covalent_radii_angstrom, group_sums, shortest_contacts
from matbind.materials.structure import FLATTEST_CELL
from matbind.modalities.ragged import Ragged

LATTICE_NUMBERS = 9
NOBLE_GASES = (2, 10, 18, 36, 54, 86)
SMALLEST_RADIUS_ANGSTROM = 0.7  # hydrogen in a molecular crystal takes the room of a larger atom


def species(
    numbers: Ragged, coords: Ragged, lattice: Ragged, site_index: Ragged | None, occupancy: Ragged | None
) -> tuple[Ragged, Ragged, npt.NDArray[np.float64]]:
    """Return site and occupancy of every species entry, and how many arrays of each row do not fit, shape (n_rows,).

    Where neither is stated, every site holds one species fully.
    """
    n_entries, n_sites = numbers.lengths, coords.lengths // 3
    count = np.arange(len(numbers.values)) - np.repeat(numbers.offsets[:-1], n_entries)
    faults = (lattice.lengths != LATTICE_NUMBERS).astype(float) + (coords.lengths % 3 != 0) + (n_sites == 0)
    site, amount = count.astype(np.int64), np.ones(len(count))
    if site_index is None or occupancy is None:
        return Ragged(site, numbers.offsets), Ragged(amount, numbers.offsets), faults + (n_entries != n_sites)
    given = (site_index.lengths > 0) | (occupancy.lengths > 0)
    faults += np.where(
        given, (site_index.lengths != n_entries) + 1.0 * (occupancy.lengths != n_entries), n_entries != n_sites
    )
    usable = given & (faults == 0)
    target = np.repeat(usable, n_entries)
    site[target] = site_index.values[np.repeat(usable, site_index.lengths)]
    amount[target] = occupancy.values[np.repeat(usable, occupancy.lengths)]
    step = np.diff(site, prepend=0)
    step[numbers.offsets[:-1][n_entries > 0]] = 0
    faults += group_sums((step < 0) | (step > 1), numbers.offsets) > 0
    filled = n_entries > 0
    first, last = np.zeros(len(faults)), np.zeros(len(faults))
    first[filled], last[filled] = site[numbers.offsets[:-1][filled]], site[numbers.offsets[1:][filled] - 1]
    faults += filled & usable & ((first != 0) | (last != n_sites - 1))
    return Ragged(site, numbers.offsets), Ragged(amount, numbers.offsets), faults


def geometry(
    sound: npt.NDArray[np.int64], *, lattice: Ragged, numbers: Ragged, coords: Ragged, site: Ragged, occupancy: Ragged
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure the rows whose arrays are sound, each measure of shape (n_rows,); NaN for the rest."""
    names = (
        "flatness",
        "largest_coordinate",
        "smallest_occupancy",
        "largest_occupancy",
        "most_species",
        "min_distance_angstrom",
        "shortest_contact",
        "bonded_contact",
        "volume_per_atom_angstrom3",
        "volume_per_covalent_volume",
    )
    measures = {name: np.full(len(lattice.lengths), np.nan) for name in names}
    if not len(sound):
        return measures
    cells = lattice.values[_positions(lattice, sound)].reshape(-1, 3, 3)
    sites = np.abs(coords.values[_positions(coords, sound)]).reshape(-1, 3)
    n_sites = coords.lengths[sound] // 3
    first_site = np.concatenate([[0], np.cumsum(n_sites)])
    measures["largest_coordinate"][sound] = np.maximum.reduceat(sites.max(axis=1), first_site[:-1])
    volume = np.abs(np.linalg.det(cells))
    with np.errstate(invalid="ignore"):
        measures["flatness"][sound] = volume / np.linalg.norm(cells, axis=2).prod(axis=1)

    entries = _positions(numbers, sound)
    at = site.values[entries] + np.repeat(first_site[:-1], numbers.lengths[sound])
    radius = covalent_radii_angstrom()[numbers.values[entries]]
    total = np.bincount(at, weights=occupancy.values[entries], minlength=first_site[-1])
    measures["smallest_occupancy"][sound] = np.minimum.reduceat(total, first_site[:-1])
    measures["largest_occupancy"][sound] = np.maximum.reduceat(total, first_site[:-1])
    measures["most_species"][sound] = np.maximum.reduceat(np.bincount(at, minlength=first_site[-1]), first_site[:-1])
    smallest = np.full(first_site[-1], np.inf)  # a mixed site is as large as its smallest species
    np.minimum.at(smallest, at, radius)
    spheres = np.bincount(
        at,
        weights=occupancy.values[entries] * 4 / 3 * np.pi * np.maximum(radius, SMALLEST_RADIUS_ANGSTROM) ** 3,
        minlength=first_site[-1],
    )
    measures["volume_per_atom_angstrom3"][sound] = volume / n_sites
    measures["volume_per_covalent_volume"][sound] = volume / np.maximum(
        np.add.reduceat(spheres, first_site[:-1]), 1e-12
    )

    solid = np.flatnonzero(measures["flatness"][sound] > FLATTEST_CELL)
    if len(solid):
        chosen = _positions(Ragged(coords.values, first_site), solid)
        begin = np.concatenate([[0], np.cumsum(n_sites[solid])])
        true_coords = coords.values[_positions(coords, sound)].reshape(-1, 3)[chosen]
        near = shortest_contacts(np.ascontiguousarray(cells[solid]), true_coords, smallest[chosen], begin)
        measures["min_distance_angstrom"][sound[solid]] = near[:, 0]
        measures["shortest_contact"][sound[solid]] = near[:, 1]
        first_entry = np.cumsum(numbers.lengths[sound]) - numbers.lengths[sound]
        reactive = np.add.reduceat(~np.isin(numbers.values[entries], NOBLE_GASES), first_entry)[solid] > 0
        measures["bonded_contact"][sound[solid]] = np.where(reactive, near[:, 1], np.nan)
    return measures


def _positions(array: Ragged, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the positions of all values of some rows."""
    lengths = array.lengths[rows]
    begins = np.repeat(array.offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
    positions: npt.NDArray[np.int64] = begins + np.arange(lengths.sum())
    return positions
