"""Train, validation and test by reduced formula: no formula stands on two sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matbind.modalities.material import Split


def split_by_formula(formulas: Sequence[str], *, validation: float, test: float, seed: int) -> list[Split]:
    """Assign every material to a split.

    Formulas are shuffled by the seed and handed out until a side holds its share of the materials, so polymorphs and
    duplicates stay together.

    Args:
        formulas: reduced formula of each material.
        validation: share of the materials for validation.
        test: share of the materials for test.
        seed: of the shuffle.

    Returns:
        The split of each material.
    """
    names, inverse, counts = np.unique(np.asarray(formulas), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    total = counts.sum()
    not_test = np.where(before < (test + validation) * total, "validation", "train")
    sides = np.where(before < test * total, "test", not_test)
    by_name = np.empty(len(names), dtype=sides.dtype)
    by_name[order] = sides
    return [str(side) for side in by_name[inverse]]  # type: ignore[misc]
