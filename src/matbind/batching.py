"""Order of the materials in an epoch: alike compositions meet in one batch.

Among random materials a formula tells nearly every one apart, and a network learns no more than that. What a search has to tell
apart are the alike: polymorphs, HfAl and Hf2Al, isoelectronic swaps. So every epoch the materials are split, again and again, by
the direction between two random ones of them, until few are left; those few stand side by side in the order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matbind.features.store import Store

IntArray = npt.NDArray[np.int64]
N_ELEMENTS = 118


def compositions(crystals: Store, index: IntArray) -> npt.NDArray[np.float32]:
    """Square roots of the atomic fractions of some materials, shape (len(index), 118): unit vectors."""
    element, counts = crystals.ragged("atomic_number", index)
    occupancy = crystals.ragged("occupancy", index).values
    amounts = np.zeros((len(index), N_ELEMENTS), dtype=np.float32)
    np.add.at(amounts, (np.repeat(np.arange(len(index)), counts), element - 1), occupancy)
    return np.asarray(np.sqrt(amounts / amounts.sum(axis=1, keepdims=True)))


def grouped_order(vectors: npt.NDArray[np.float32], *, group_size: int, rng: np.random.Generator) -> IntArray:
    """Draw an order in which alike vectors are neighbours.

    Args:
        vectors: shape (n, d).
        group_size: groups are halved until they have at most this many; 1 gives a plain random order.
        rng: source of randomness; another draw gives other groups.

    Returns:
        A permutation of range(n): the groups in random order, each end to end.
    """
    waiting, groups = [rng.permutation(len(vectors))], []
    while waiting:
        group = waiting.pop()
        if len(group) <= max(group_size, 1) or group_size == 1:
            groups.append(group)
            continue
        a, b = vectors[group[:2]]
        along = vectors[group] @ (a - b) + rng.normal(0, 1e-6, len(group))  # the noise parts equal vectors
        sides = np.argpartition(along, len(group) // 2)
        waiting += [rng.permutation(group[half]) for half in (sides[: len(group) // 2], sides[len(group) // 2 :])]
    return np.concatenate([groups[i] for i in rng.permutation(len(groups))])
