from __future__ import annotations

import json

import numpy as np
import pytest

from matbind.modalities.crystal import query as crystal
from matbind.modalities.dos import query as dos
from matbind.modalities.material import Material
from matbind.modalities.pxrd import query as pxrd
from matbind.modalities.text import query as text
from matbind.settings.params import Settings
from tests.factories import copper, make_settings, simulated
from tests.serving.trained import GRID_DEG, pattern_json


@pytest.fixture(scope="module")
def settings() -> Settings:
    return make_settings()


@pytest.fixture(scope="module")
def intensity() -> np.ndarray:
    return simulated(copper()).intensity


def dos_of(**changes: object) -> str:
    energies = [float(e) for e in range(-10, 11)]
    content = {"energies_ev": energies, "densities": [4.0] * 21, "efermi_ev": 1.0, "n_atoms": 2}
    return json.dumps({key: value for key, value in (content | changes).items() if value is not None})


def read_pattern(value: str, settings: Settings) -> np.ndarray:
    found: Material = pxrd.read("pxrd", value, settings)
    return found.pxrd.intensity


def test_a_pattern_on_the_grid_stays_as_it_is(settings: Settings, intensity: np.ndarray) -> None:
    np.testing.assert_allclose(read_pattern(pattern_json(intensity), settings), intensity, atol=1e-6)


def test_a_pattern_counts_as_measured_so_that_nothing_is_computed_from_its_placeholder_cell(
    settings: Settings, intensity: np.ndarray
) -> None:
    assert pxrd.read("pxrd", pattern_json(intensity), settings).pxrd.simulated is False


def test_what_was_not_measured_is_masked(settings: Settings, intensity: np.ndarray) -> None:
    inside = (GRID_DEG >= 20) & (GRID_DEG <= 60)
    value = pattern_json(intensity[inside], two_theta_deg=GRID_DEG[inside].tolist())

    found = read_pattern(value, settings)

    assert np.isnan(found[GRID_DEG < 19.9]).all()
    assert np.isnan(found[GRID_DEG > 60.1]).all()
    assert np.isfinite(found[(GRID_DEG > 20.1) & (GRID_DEG < 59.9)]).all()


def test_angles_of_another_wavelength_are_moved_by_braggs_law(settings: Settings, intensity: np.ndarray) -> None:
    molybdenum = 0.7107
    sine = np.sin(np.radians(GRID_DEG / 2)) * molybdenum / 1.54184
    value = pattern_json(
        intensity, two_theta_deg=np.degrees(2 * np.arcsin(sine)).tolist(), wavelength_angstrom=molybdenum
    )

    found = read_pattern(value, settings)

    assert abs(GRID_DEG[np.nanargmax(found)] - GRID_DEG[intensity.argmax()]) < 0.02


def test_the_text_of_an_xy_file_names_its_wavelength(settings: Settings, intensity: np.ndarray) -> None:
    lines = [f"{angle:.2f} {1000 * height:.3f}" for angle, height in zip(GRID_DEG, intensity, strict=True)]

    found = read_pattern("\n".join(["# Wavelength = 1.54184", *lines]), settings)

    np.testing.assert_allclose(found, intensity, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"wavelength_angstrom": None}, "the wavelength is missing and is never guessed"),
        ({"wavelength_angstrom": 12.0}, "wavelength"),
        ({"two_theta_deg": None}, "two_theta_deg is missing, expected a JSON object with two_theta_deg, intensity"),
        ({"intensity": [0.0] * 8501}, "no intensity above zero"),
        ({"intensity": [float("nan"), *[1.0] * 8500]}, "intensity holds 1 values that are not finite"),
        ({"intensity": ["a"] * 8501}, "intensity holds something that is no number"),
        ({"intensity": [1.0] * 40, "two_theta_deg": [10.0 + i for i in range(40)]}, "40 points, expected at least 50"),
        ({"two_theta_deg": np.linspace(100, 150, 8501).tolist()}, "points lie between 5 and 90 degrees"),
        ({"intensity": [1.0]}, "8501 positions and 1 intensities"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(
    changes: dict[str, object], error: str, settings: Settings, intensity: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=error):
        read_pattern(pattern_json(intensity, **changes), settings)


def test_a_text_without_a_wavelength_is_refused(settings: Settings) -> None:
    lines = "\n".join(f"{10 + i / 2} {i % 7}" for i in range(80))

    with pytest.raises(ValueError, match="the wavelength is missing and is never guessed"):
        read_pattern(lines, settings)


def test_states_are_counted_an_atom(settings: Settings) -> None:
    found = dos.read("dos", dos_of(), settings)

    assert (found.dos.densities / found.structure.occupancy.sum()).tolist() == [2.0] * 21


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"efermi_ev": None}, "efermi_ev is missing"),
        ({"n_atoms": 0}, "n_atoms is 0, expected the number of atoms of the cell"),
        ({"densities": [0.0] * 21}, "no density is above zero"),
        ({"densities": "many"}, "densities"),
        ({"energies_ev": [[1.0]]}, "energies_ev has 2 dimensions"),
    ],
)
def test_a_dos_that_cannot_be_used_is_refused(changes: dict[str, object], error: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match=error):
        dos.read("dos", dos_of(**changes), settings)


@pytest.mark.parametrize(
    ("value", "error"), [("[1", "this is no valid JSON"), ("[1]", "found list, expected a JSON object")]
)
def test_what_is_no_json_object_is_refused(value: str, error: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match=error):
        dos.read("dos", value, settings)


@pytest.mark.parametrize("column", ["cif", "poscar"])
def test_a_structure_is_read_whole(column: str, settings: Settings) -> None:
    found = crystal.read(column, copper().to_pymatgen().to(fmt=column), settings).structure

    assert found.atomic_number.tolist() == [29]
    assert found.volume_angstrom3 == pytest.approx(3.61**3 / 4, rel=1e-6)


def test_overlapping_atoms_are_refused(settings: Settings) -> None:
    poscar = "x\n4.0\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n1 1\ndirect\n0 0 0\n0.05 0 0\n"

    with pytest.raises(ValueError, match=r"two atoms are 0\.200 angstrom apart, expected at least 0\.5"):
        crystal.read("poscar", poscar, settings)


def test_what_is_no_structure_is_refused_without_the_path_of_a_temporary_file(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"^the CIF holds no atoms"):
        crystal.read("cif", "hello", settings)


def test_a_text_is_taken_as_it_is(settings: Settings) -> None:
    assert text.read("text", "NaCl is Halite.", settings).text == "NaCl is Halite."
