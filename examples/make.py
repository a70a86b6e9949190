"""Make the files beside this one from the pyrite of the sample: `python examples/make.py`, in a project with its data.

Pyrite (mp-226) is of the test split: no model has been trained on it. The powder pattern is one as a laboratory
measures it, with all that the simulated ones of the sample lack: the doublet of copper, peaks that are neither Gaussian
nor of one width, a zero shift, a background, counting noise, and a cell that is not exactly that of the sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.materials.diffraction import reflections
from matbind.materials.structure import FloatArray, Structure

MATERIAL = "mp-226"
STRETCH = 1.0025  # of the cell: 5.417 angstrom, as measured at room temperature, instead of 5.404
ALPHA1_ANGSTROM, ALPHA2_ANGSTROM, ALPHA2_SHARE = 1.54056, 1.54439, 0.5
TWO_THETA_DEG, STEP_DEG = (10.0, 80.0), 0.02
ZERO_SHIFT_DEG = 0.03
FWHM_DEG, FWHM_PER_TANGENT_DEG = 0.08, 0.10  # the width grows with the tangent of theta
LORENTZIAN_SHARE = 0.5
PEAK_COUNTS, BACKGROUND_COUNTS, DECAY_DEG = 1800.0, (60.0, 150.0), 25.0
SEED = 7
TEXT = (
    "Pyrite, FeS₂, crystallizes in the cubic Pa3̅ space group. Fe is bonded to six equivalent S atoms to form "
    "corner-sharing FeS₆ octahedra; all Fe–S bond lengths are 2.26 Å. S is bonded in a 3-coordinate geometry to three "  # noqa: RUF001
    "equivalent Fe atoms.\n"
)


def main() -> None:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    row = _row(options.data / "structures.parquet")
    lattice = STRETCH * np.reshape(row["lattice"], (3, 3))
    crystal = Structure.ordered(lattice, np.reshape(row["frac_coords"], (-1, 3)), row["atomic_numbers"])
    _write(options.out / "pyrite.xy", _pattern(crystal))
    _write(options.out / "pyrite.cif", _cif(crystal))
    _write(options.out / "pyrite.dos.csv", _dos(_row(options.data / "dos.parquet")))
    _write(options.out / "pyrite.txt", TEXT)


def _row(table: Path) -> dict[str, Any]:
    return pl.scan_parquet(table).filter(pl.col("material_id") == MATERIAL).collect().row(0, named=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _pattern(crystal: Structure) -> str:
    low, high = TWO_THETA_DEG
    angles = np.linspace(low, high, round((high - low) / STEP_DEG) + 1)
    heights = _peaks(crystal, ALPHA1_ANGSTROM, angles) + ALPHA2_SHARE * _peaks(crystal, ALPHA2_ANGSTROM, angles)
    constant, decaying = BACKGROUND_COUNTS
    expected = PEAK_COUNTS * heights / heights.max() + constant + decaying * np.exp(-(angles - low) / DECAY_DEG)
    counts = np.random.default_rng(SEED).poisson(expected)
    head = (
        f"# Powder pattern of pyrite, FeS2, computed by examples/make.py: no instrument has measured it.\n"
        f"# From {MATERIAL} of the sample, its cell {100 * (STRETCH - 1):.2f} % longer; K-alpha1 and K-alpha2, "
        f"pseudo-Voigt peaks, zero shift {ZERO_SHIFT_DEG} deg,\n# background, Poisson noise.\n"
        f"# Wavelength 1 = {ALPHA1_ANGSTROM} A\n# Wavelength 2 = {ALPHA2_ANGSTROM} A\n# 2theta counts\n"
    )
    return head + "".join(f"{angle:.2f} {count}\n" for angle, count in zip(angles, counts, strict=True))


def _peaks(crystal: Structure, wavelength_angstrom: float, angles: FloatArray) -> FloatArray:
    """Sum pseudo-Voigt peaks of one wavelength at angles two theta, shape (n_angles,)."""
    peaks = reflections(crystal, wavelength_angstrom=wavelength_angstrom)
    fwhm = FWHM_DEG + FWHM_PER_TANGENT_DEG * np.tan(np.radians(peaks.two_theta_deg / 2))
    away = (angles - ZERO_SHIFT_DEG - peaks.two_theta_deg[:, None]) / (fwhm[:, None] / 2)
    gaussian = np.sqrt(np.log(2) / np.pi) * np.exp(-np.log(2) * away**2)
    lorentzian = 1 / (np.pi * (1 + away**2))
    shapes = LORENTZIAN_SHARE * lorentzian + (1 - LORENTZIAN_SHARE) * gaussian
    return np.asarray((peaks.intensity / (fwhm / 2)) @ shapes)


def _cif(crystal: Structure) -> str:
    from pymatgen.io.cif import CifWriter

    head = f"# {MATERIAL} of the sample, its cell {100 * (STRETCH - 1):.2f} % longer (examples/make.py)\n"
    return head + str(CifWriter(crystal.to_pymatgen(), symprec=0.01))


def _dos(row: dict[str, Any]) -> str:
    head = (
        f"# Density of states of {MATERIAL} as in the sample ({row['source']}), {row['n_atoms']} atoms in the cell "
        f"(examples/make.py)\n# efermi = {row['efermi']:.3f} eV\nenergy (eV),dos (states/eV/cell)\n"
    )
    pairs = zip(row["energies"], row["densities"], strict=True)
    return head + "".join(f"{energy:.2f},{density:.4f}\n" for energy, density in pairs)


if __name__ == "__main__":
    main()
