from __future__ import annotations

import numpy as np
import pytest

from matbind.modalities.pxrd.query import read
from tests.factories import copper, make_settings, simulated
from tests.serving.trained import GRID_DEG, pattern_json

GRID = make_settings().records("pxrd")


@pytest.fixture(scope="module")
def intensity() -> np.ndarray:
    return simulated(copper()).intensity


def read_pattern(value: str) -> np.ndarray:
    return read("pxrd", value, records=GRID).intensity


def test_a_pattern_on_the_grid_stays_as_it_is(intensity: np.ndarray) -> None:
    np.testing.assert_allclose(read_pattern(pattern_json(intensity)), intensity, atol=1e-6)


def test_a_pattern_counts_as_measured_so_that_nothing_is_computed_from_its_placeholder_cell(
    intensity: np.ndarray,
) -> None:
    assert read("pxrd", pattern_json(intensity), records=GRID).simulated is False


def test_what_was_not_measured_is_masked(intensity: np.ndarray) -> None:
    inside = (GRID_DEG >= 20) & (GRID_DEG <= 60)
    value = pattern_json(intensity[inside], two_theta_deg=GRID_DEG[inside].tolist())

    pattern = read_pattern(value)

    assert np.isnan(pattern[GRID_DEG < 19.9]).all()
    assert np.isnan(pattern[GRID_DEG > 60.1]).all()
    assert np.isfinite(pattern[(GRID_DEG > 20.1) & (GRID_DEG < 59.9)]).all()


def test_angles_of_another_wavelength_are_moved_by_braggs_law(intensity: np.ndarray) -> None:
    molybdenum = 0.7107
    sine = np.sin(np.radians(GRID_DEG / 2)) * molybdenum / 1.54184
    value = pattern_json(
        intensity, two_theta_deg=np.degrees(2 * np.arcsin(sine)).tolist(), wavelength_angstrom=molybdenum
    )

    pattern = read_pattern(value)

    assert abs(GRID_DEG[np.nanargmax(pattern)] - GRID_DEG[intensity.argmax()]) < 0.02


def test_the_text_of_an_xy_file_names_its_wavelength(intensity: np.ndarray) -> None:
    lines = [f"{angle:.2f} {1000 * height:.3f}" for angle, height in zip(GRID_DEG, intensity, strict=True)]

    pattern = read_pattern("\n".join(["# Wavelength = 1.54184", *lines]))

    np.testing.assert_allclose(pattern, intensity, atol=1e-4)


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
    changes: dict[str, object], error: str, intensity: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=error):
        read_pattern(pattern_json(intensity, **changes))


def test_a_text_without_a_wavelength_is_refused() -> None:
    lines = "\n".join(f"{10 + i / 2} {i % 7}" for i in range(80))

    with pytest.raises(ValueError, match="the wavelength is missing and is never guessed"):
        read_pattern(lines)
