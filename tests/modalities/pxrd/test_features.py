from __future__ import annotations

import numpy as np
import pytest

from matbind.materials.diffraction import reflections
from matbind.modalities.pxrd import features as pxrd
from matbind.modalities.pxrd.features import binned_pattern
from matbind.modalities.pxrd.records import Pattern
from matbind.modalities.pxrd.settings import FeaturesSettings
from tests.factories import copper, material, rocksalt, simulated

SETTINGS = FeaturesSettings(two_theta_deg=(5.0, 90.0), n_bins=500, wavelength_angstrom=1.54184, max_strain=0.06)


def featurized(given, settings=SETTINGS) -> dict[str, np.ndarray] | None:
    return pxrd.Featurizer(settings, pxrd.fit(iter(()), settings))(given)


def test_points_are_averaged_and_the_highest_bin_is_one():
    np.testing.assert_allclose(binned_pattern(np.arange(7, dtype=np.float32), n_bins=3), [0.2, 0.6, 1.0])


def test_bins_may_end_between_points():
    np.testing.assert_allclose(binned_pattern(np.arange(6, dtype=np.float32), n_bins=2), [1.3 / 3.7, 1.0], rtol=1e-6)


def test_bins_divide_the_area_under_the_points():
    rough = np.random.default_rng(0).uniform(0, 1, 8501).astype(np.float32)
    pattern = binned_pattern(rough, n_bins=1062)
    assert pattern.mean() * 8500 / np.trapezoid(rough) == pytest.approx(1 / 0.75, rel=0.2)
    np.testing.assert_allclose(
        binned_pattern(np.full(8501, 3, dtype=np.float32), n_bins=1062), np.ones(1062), rtol=1e-6
    )


def test_a_bin_with_a_point_that_was_not_measured_is_not_measured():
    pattern = binned_pattern(np.array([1, np.nan, 2, 4, 3], dtype=np.float32), n_bins=2)
    np.testing.assert_array_equal(pattern, [np.nan, 1])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ([1.0, 2.0], "the pattern has 2 points, expected at least the 3 bins"),
        ([0.0] * 6, "no intensity above zero"),
        ([np.nan] * 6, "no intensity above zero"),
        ([-1.0] * 6, "no intensity above zero"),
    ],
)
def test_binned_pattern_refuses(pattern, message):
    with pytest.raises(ValueError, match=message):
        binned_pattern(np.array(pattern, dtype=np.float32), n_bins=3)


def test_intensities_are_kept_without_the_lorentz_polarisation_factor():
    peaks = reflections(rocksalt(), wavelength_angstrom=1.54184, two_theta_deg=(4.6999, 97.094))
    arrays = featurized(material(rocksalt(), pxrd=simulated(rocksalt())))
    double = np.radians(peaks.two_theta_deg)
    factor = (1 + np.cos(double) ** 2) / (np.sin(double / 2) ** 2 * np.cos(double / 2))
    intensity = arrays["intensity"] * factor
    np.testing.assert_allclose(intensity, peaks.intensity, rtol=1e-6)


def test_peaks_that_strain_can_bring_into_the_window_are_kept():
    settings = SETTINGS.model_copy(update={"two_theta_deg": (5.0, 43.0)})
    given = material(copper(), pxrd=simulated(copper()))
    first_peak = np.sqrt(3) / 3.61  # at 43.3 degrees, just beyond the window
    assert np.linalg.norm(featurized(given, settings)["g_vector"], axis=1) == pytest.approx([first_peak])


def test_a_measured_pattern_has_no_reflections_to_draw_it_from():
    pattern = Pattern(simulated(copper()).intensity, simulated=False)
    arrays = featurized(material(copper(), pxrd=pattern))
    assert arrays["g_vector"].shape == (0, 3)
    assert arrays["pattern"].max() == 1


def test_a_material_without_a_pattern_has_no_arrays():
    assert featurized(material(copper())) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("two_theta_deg", [90, 5]),
        ("two_theta_deg", [5, 180]),
        ("two_theta_deg", [0, 90]),
        ("n_bins", 4),
        ("max_strain", -0.1),
    ],
)
def test_settings_refuse(key, value):
    with pytest.raises(ValueError, match=key):
        FeaturesSettings(**(SETTINGS.model_dump() | {key: value}))


def objection(intensity: np.ndarray) -> str:
    meta = pxrd.fit(iter(()), SETTINGS)
    return pxrd.objection(featurized(material(pxrd=Pattern(intensity.astype(np.float32), simulated=False))), meta)


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [
        (np.ones(8501), "no peak narrower than 2 degrees rises above its background"),
        (np.exp(-np.linspace(0, 3, 8501)), "no peak narrower than 2 degrees rises above its background"),
        (np.random.default_rng(0).poisson(3, 8501), "neighbouring angles have nothing to do with each other"),
        (np.random.default_rng(0).poisson(0.5, 8501) ** 2, "neighbouring angles have nothing to do with each other"),
    ],
    ids=["flat", "background", "counts", "squares"],
)
def test_a_pattern_of_nothing_is_objected_to(intensity, expected):
    assert objection(intensity).startswith(expected)


def test_a_pattern_of_a_crystal_is_not():
    assert not objection(simulated(rocksalt()).intensity)
