from __future__ import annotations

import numpy as np
import polars as pl

from matbind.modalities.crystal.duplicates import duplicate_groups
from matbind.modalities.crystal.validation import Validator

FCC = np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
FACES = np.array([[0.0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rows() -> pl.DataFrame:
    primitive = (FCC * 2.82).ravel().tolist()
    cubic = {
        "lattice": (np.eye(3) * 5.66).ravel().tolist(),
        "atomic_numbers": [11] * 4 + [17] * 4,
        "frac_coords": np.concatenate([FACES, FACES + 0.5]).ravel().tolist(),
    }
    caesium_chloride_type = {"lattice": (np.eye(3) * 3.5).ravel().tolist()}
    base = {
        "formula": "NaCl",
        "lattice": primitive,
        "atomic_numbers": [11, 17],
        "frac_coords": [0.0, 0, 0, 0.5, 0.5, 0.5],
        "split": "train",
    }
    changes = [
        {},
        cubic,
        caesium_chloride_type,
        {"lattice": [1.05 * x for x in primitive]},
        {"formula": "KCl", "atomic_numbers": [19, 17]},
        {"lattice": None},
    ]
    return pl.DataFrame([base | change | {"material_id": str(i)} for i, change in enumerate(changes)]).with_row_index(
        "row"
    )


def groups(settings, **duplicates) -> list[int]:
    structures = rows()
    summary = Validator(settings().crystal).summarize(structures)
    return duplicate_groups(structures, summary, settings().crystal.duplicates.model_copy(update=duplicates)).to_list()


def test_another_setting_of_the_same_crystal_is_a_duplicate_and_another_type_or_formula_is_not(settings):
    assert groups(settings) == [0, 0, 2, 3, 4, 5]


def test_volumes_farther_apart_are_compared_where_the_settings_say_so(settings):
    assert groups(settings, volume=0.2) == [0, 0, 2, 0, 4, 5]
