"""Wavelengths of the X-ray lines that patterns are measured with."""

from __future__ import annotations

from types import MappingProxyType

CUKA_ANGSTROM = 1.54184  # K-alpha1 and K-alpha2 not resolved
CUKA1_ANGSTROM = 1.54060  # 1.540593 to four decimals, the usual convention; pymatgen has 1.54056

WAVELENGTH_ANGSTROM = MappingProxyType(
    {
        "CuKa": CUKA_ANGSTROM,
        "CuKa1": CUKA1_ANGSTROM,
        "CuKa2": 1.54439,
        "CuKb1": 1.39222,
        "MoKa": 0.71073,
        "MoKa1": 0.70930,
        "CoKa": 1.79026,
        "CoKa1": 1.78896,
        "FeKa": 1.93735,
        "FeKa1": 1.93604,
        "CrKa": 2.29100,
        "CrKa1": 2.28970,
        "AgKa": 0.560885,
        "AgKa1": 0.559421,
    }
)
