from __future__ import annotations

import pytest

from matbind.modalities.pxrd.wavelength import doublet_angstrom, parse_wavelength, wavelength_in


@pytest.mark.parametrize(
    ("given", "angstrom"),
    [
        (1.5406, 1.5406),
        ("1.5406", 1.5406),
        ("1,5406", 1.5406),
        ("1.5406 Å", 1.5406),
        ("0.15406 nm", 1.5406),
        ("71.073 pm", 0.71073),
        ("CuKa", 1.54184),
        ("CuK\u03b11", 1.5406),
        ("Cu K-alpha 1", 1.5406),
        ("cu_ka2", 1.54439),
        ("MoKa", 0.71073),
        ("CoKa", 1.79026),
        ("12.398419843 keV", 1.0),
        ("8047.8 eV", 1.54060),
    ],
)
def test_a_wavelength_is_understood(given, angstrom):
    assert parse_wavelength(given) == pytest.approx(angstrom, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("copper", "'copper' is unknown"),
        ("XyKa", "'XyKa' is unknown"),
        ("CoKa2", "CoKa2 is not tabulated"),
        (0.0, "is 0 angstrom"),
        (15.4, "is 15.4 angstrom"),
        ("15.4 nm", "is 154 angstrom"),
        (float("nan"), "is nan angstrom"),
    ],
)
def test_what_is_no_wavelength_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        parse_wavelength(given)


@pytest.mark.parametrize(
    ("header", "angstrom"),
    [
        ("Wavelength = 1.54056", 1.54056),
        ("wavelength (nm): 0.154056", 1.54056),
        ("lambda=0.71073 A", 0.71073),
        ("# Wavelength 1 = 1.5406", 1.5406),
        ("K-Alpha1 wavelength,1.540598\nK-Alpha2 wavelength,1.544426\nK-Beta wavelength,1.39225", 1.541874),
        ("Wavelength: CuKa1", 1.5406),
        ("Cu K\u03b1 radiation, 40 kV", 1.54184),
        ("Wavelength: Cu K-alpha1 1.540598", 1.540598),
        ("Anode material: Co\nTension 40", 1.79026),
        ("photon energy: 12.398419843 keV", 1.0),
        ("_diffrn_radiation_wavelength 0.4139", 0.4139),
    ],
)
def test_a_header_tells_the_wavelength(header, angstrom):
    wavelength = wavelength_in(header)
    assert wavelength is not None
    assert wavelength[0] == pytest.approx(angstrom, abs=1e-6)


@pytest.mark.parametrize("header", ["", "Sample 1.5406 of 2020", "Step 0.02, counting time 1.5 s", "2theta intensity"])
def test_a_header_without_a_wavelength_tells_none(header):
    assert wavelength_in(header) is None


def test_two_different_wavelengths_are_refused():
    with pytest.raises(ValueError, match="several wavelengths"):
        wavelength_in("Wavelength = 1.5406\nWavelength = 0.7093")


def test_the_doublet_is_weighed_by_the_ratio_of_its_lines():
    assert doublet_angstrom(1.5, 1.8) == pytest.approx(1.6)
    assert doublet_angstrom(1.5, 1.8, 1.0) == pytest.approx(1.65)
    assert doublet_angstrom(1.5, 1.8, 0.0) == 1.5
    assert doublet_angstrom(1.5, None) == 1.5
