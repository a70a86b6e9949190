from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from matbind.modalities.dos.valence import electrons_by_element
from matbind.modalities.dos.validation import Validator
from tests import checked

CRYSTALS = pl.DataFrame(
    {"material_id": ["salt"], "atomic_numbers": pl.Series([[11, 17]], dtype=pl.List(pl.Int16))},
)
ENERGIES = np.linspace(-20, 10, 601)  # E_F is at -2


def bands(energies=ENERGIES) -> np.ndarray:
    """8 electrons in a band around -5 eV and as many states around +3 eV."""
    return sum(8 / (0.5 * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((energies - at) / 0.5) ** 2) for at in (-5.0, 3.0))


def rows(**change) -> pl.DataFrame:
    row = {"material_id": "salt", "energies": ENERGIES, "densities": bands(), "efermi": -2.0} | change
    schema = {
        "material_id": pl.String,
        "energies": pl.List(pl.Float32),
        "densities": pl.List(pl.Float32),
        "efermi": pl.Float64,
    }
    return pl.DataFrame([row], schema=schema, orient="row").with_row_index("row")


def summary(settings, *, crystals=CRYSTALS, **change) -> pl.DataFrame:
    return validator(settings, crystals).summarize(rows(**change))


def validator(settings, crystals=CRYSTALS) -> Validator:
    return Validator(settings().dos, crystals=crystals, records=None)


def failing(settings, **change) -> set[str]:
    return checked.failing("dos", settings().dos, validator(settings), rows(**change))


def test_measures_of_a_sound_density(settings):
    row = summary(settings).row(0, named=True)
    assert row["electrons_expected"] == 8
    assert row["electron_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert row["neutrality_offset_ev"] == 0
    assert row["largest_step_ev"] == pytest.approx(0.05, abs=1e-5)
    assert row["last_from_efermi_ev"] == pytest.approx(12)
    assert failing(settings) == set()


def changed(values, position, value) -> np.ndarray:
    copy = np.array(values)
    copy[position] = value
    return copy


COUNT = {"electron_count", "neutral_at_efermi"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"densities": changed(bands(), 7, np.nan)}, {"finite"}),
        ({"densities": changed(bands(), 7, np.inf)}, {"finite"}),
        ({"densities": None}, {"lengths_equal"}),
        ({"efermi": None}, {"finite"}),
        ({"efermi": np.nan}, {"finite"}),
        ({"energies": ENERGIES[:-1]}, {"lengths_equal"}),
        ({"energies": [], "densities": []}, {"enough_points"}),
        (
            {"energies": ENERGIES[::-1]},
            {"energies_ascend", "efermi_not_below", "efermi_not_above", "window_covered_above"},
        ),
        ({"energies": changed(ENERGIES, 8, ENERGIES[7])}, {"energies_ascend"}),
        ({"densities": changed(bands(), 3, -0.5)}, {"not_negative"}),
        ({"densities": np.zeros(601)}, {"not_zero"} | COUNT),
        ({"densities": np.full(601, 8 / 18)}, {"not_constant"}),
        ({"efermi": -30.0}, {"efermi_not_below"} | COUNT),
        ({"efermi": 30.0}, {"efermi_not_above", "window_covered_above"} | COUNT),
        ({"efermi": -5.0}, COUNT),
        ({"densities": bands() / 2}, COUNT),
        ({"densities": bands() * 2}, COUNT),
        ({"energies": ENERGIES[:400], "densities": bands()[:400]}, {"window_covered_above"}),
        ({"energies": ENERGIES[290:], "densities": bands()[290:]}, {"window_covered_below", "neutral_at_efermi"}),
        ({"energies": ENERGIES / 13.6057, "efermi": -2 / 13.6057}, {"window_covered_above"} | COUNT),
        (
            {"energies": ENERGIES / 27.2114, "densities": bands() * 27.2114, "efermi": -2 / 27.2114},
            {"window_covered_above"},
        ),
        ({"energies": ENERGIES[::15], "densities": bands()[::15]}, {"enough_points", "energy_step"}),
    ],
)
def test_each_fault_fails_its_own_expectations(settings, change, expected):
    assert failing(settings, **change) == expected


def test_the_fermi_energy_may_lie_anywhere_in_a_gap(settings):
    assert failing(settings, efermi=0.5) == set()


def test_the_offset_tells_how_far_the_electrons_are_from_the_fermi_energy(settings):
    # 7.92 electrons, 1 % short of 8, are reached 2.326 standard deviations above the middle of the band
    assert summary(settings, efermi=-5.0)["neutrality_offset_ev"][0] == pytest.approx(2.326 * 0.5, abs=5e-3)


def test_an_unknown_material_or_element_has_no_count_and_fails_nothing(settings):
    unknown = pl.DataFrame({"material_id": ["salt"], "atomic_numbers": pl.Series([[11, 92]], dtype=pl.List(pl.Int16))})
    for crystals in (CRYSTALS.clear(), unknown):
        assert summary(settings, crystals=crystals)["electron_ratio"].to_list() == [None]
        assert failing(settings, crystals=crystals) == set()


def test_partly_occupied_sites_bring_part_of_their_electrons(settings):
    crystals = CRYSTALS.with_columns(pl.Series("occupancy", [[0.5, 1.0]]))
    assert summary(settings, crystals=crystals)["electrons_expected"].to_list() == [7.5]


@pytest.mark.parametrize(
    ("method", "expected"), [("gfn1", [1, 2, 3, 4, 8]), ("materials-project", [1, 12, 11, 14, 14])]
)
def test_electrons_of_elements_by_method(method, expected):
    electrons = electrons_by_element(method, {})
    assert [electrons[z] for z in (1, 30, 57, 82, 26)] == expected
    assert np.isnan(electrons[118])


def test_electrons_of_single_elements_are_laid_over_the_table():
    assert electrons_by_element("materials-project", {"W": 14})[74] == 14


def test_settings_refuse_electrons_of_what_is_no_element(settings):
    with pytest.raises(ValidationError, match="electrons_of names 'Xx', which is no element"):
        settings(dos={"electrons_of": {"Xx": 3}})


def test_a_density_is_measured_alike_alone_and_among_others(settings):
    def row(**change) -> dict:
        return {"material_id": "salt", "energies": ENERGIES, "densities": bands(), "efermi": -2.0} | change

    schema = {"energies": pl.List(pl.Float32), "densities": pl.List(pl.Float32)}
    several = [row(), row(densities=[]), row(efermi=-5.0), row(energies=ENERGIES[::-1])]
    frame = pl.DataFrame(several, schema_overrides=schema).with_row_index("row")
    among = validator(settings).summarize(frame).drop("row")
    for i, change in enumerate(several):
        assert among[i].equals(summary(settings, **change).drop("row"))
