from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis.labels import describe_set, labels


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chalcogenides", [1, 0, np.nan, np.nan, np.nan]),
        ("oxides_and_halides", [np.nan, np.nan, 1, 0, np.nan]),
        ("oxides_and_halides_goldschmidt", [np.nan, np.nan, 1, 0, np.nan]),
        ("abx3", [1, 0, 1, 0, np.nan]),
    ],
)
def test_perovskites_by_family(name, expected):
    # CaTiO3 is the mineral perovskite itself; the ions of barium carbonate fit no octahedra; salt is no ABX3.
    judged = labels(name, ["SrZrS3", "BaTiS3", "CaTiO3", "BaCO3", "NaCl"])
    np.testing.assert_array_equal(judged, expected)


def test_the_two_criteria_for_oxides_differ():
    # Barium titanate, t = 1.062 and tau = 3.75, is the best known ferroelectric perovskite.
    assert labels("oxides_and_halides", ["BaTiO3"]) == 1
    assert labels("oxides_and_halides_goldschmidt", ["BaTiO3"]) == 0


def test_a_set_tells_counts_members_and_reasons():
    described = describe_set(
        "chalcogenides",
        material_ids=["m-1", "m-2", "m-3"],
        formulas=["SrZrS3", "SnPS3", "CaTiO3"],
        split=np.array(["train", "test", "test"]),
    )
    assert described["materials"]["all"]["perovskite"] == 1
    assert described["materials"]["test"] == {
        "perovskite": 0,
        "other": 0,
        "not_judged": 1,
        "reasons": {"no Shannon radius of Sn+2 in coordination VI": 1},
    }
    [member] = described["members"]
    assert (member["material_id"], member["split"], member["perovskite"]) == ("m-1", "train", True)
    assert member["t_star"] == pytest.approx(1.00110, abs=1e-5)
