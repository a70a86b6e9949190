from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.completion import xtb
from matbind.data.completion.xtb import broadened, calculate, fermi_energy, supercell
from matbind.materials.structure import Structure, structure_of
from matbind.settings.complete import XtbSettings
from tests.factories import DATA, mixed, needs_sample, rocksalt

SMALL = XtbSettings(supercell_atoms=8)
METALS = ("mp-601148", "mp-2008", "mp-574498")  # I, FeAs2, Cs3Bi2
INSULATORS = ("mp-552694", "mp-625788", "mp-22987")  # Yb2SO2, La(OH)3, BiIO


def row_of(material_id: str, *tables: str) -> dict:
    row = {}
    for name in ("structures", *tables):
        row |= pl.scan_parquet(DATA / f"{name}.parquet").filter(material_id=material_id).collect().row(0, named=True)
    return row


@needs_sample
@pytest.mark.parametrize("material_id", [*METALS, *INSULATORS])
def test_the_densities_of_the_sample_are_reproduced(material_id):
    row = row_of(material_id, "dos")
    result = calculate(structure_of(row), settings=XtbSettings())
    n = min(len(row["energies"]), len(result.dos.energies_ev))  # they end 10 eV above the Fermi energy
    assert (result.n_atoms, list(result.supercell)) == (row["n_atoms"], row["supercell"])
    np.testing.assert_allclose(result.dos.energies_ev[:n], row["energies"][:n], atol=1e-5)
    assert np.abs(result.dos.densities[:n] - row["densities"][:n]).max() < 2e-3 * max(row["densities"])


@needs_sample
@pytest.mark.parametrize("material_id", METALS)
def test_the_fermi_energies_of_metals_are_those_of_the_sample(material_id):
    row = row_of(material_id, "dos")
    result = calculate(structure_of(row), settings=XtbSettings()).dos
    assert result.efermi_ev == pytest.approx(row["efermi"], abs=1e-3)


@needs_sample
@pytest.mark.parametrize(
    ("material_id", "reason"),
    [
        ("mp-35152", r"The calculation did not converge \(SCF not converged in 250 cycles\)"),  # Sr2RhH5
        ("mp-582549", r"The overlap matrix of the calculation is singular \(\(sygvd\)"),  # In2Te5
        ("mp-556421", r"spurious orbital 109\.\d eV below the Fermi energy, expected at most 45 eV"),  # NdVO3
    ],
)
def test_a_material_without_one_in_the_sample_is_refused(material_id, reason):
    with pytest.raises(ValueError, match=reason):
        calculate(structure_of(row_of(material_id)), settings=XtbSettings())


def test_a_conventional_cell_has_the_density_of_its_primitive_cell():
    result = calculate(rocksalt(), settings=SMALL)
    below = result.dos.energies_ev <= result.dos.efermi_ev
    assert (result.n_atoms, sorted(result.supercell)) == (2, [1, 2, 2])
    assert result.dos.densities[below].sum() * 0.05 == pytest.approx(8.0, abs=0.02)  # one of Na, seven of Cl
    assert result.dos.energies_ev[-1] - result.dos.efermi_ev == pytest.approx(10.0, abs=0.05)


def test_the_same_structure_has_the_same_density_bit_for_bit():
    first, second = (calculate(rocksalt(), settings=SMALL).dos for _ in range(2))
    assert first.efermi_ev == second.efermi_ev
    np.testing.assert_array_equal(first.densities, second.densities)


def test_the_library_prints_nothing(capfd):
    calculate(rocksalt(), settings=SMALL)
    assert capfd.readouterr() == ("", "")


def test_a_mixed_site_is_refused():
    with pytest.raises(ValueError, match="disordered"):
        calculate(mixed(), settings=SMALL)


def test_an_element_beyond_radon_is_refused():
    with pytest.raises(ValueError, match="Atomic number 92 is unknown to GFN1-xTB, expected at most 86"):
        calculate(Structure.ordered(np.eye(3) * 3, [[0, 0, 0]], [92]), settings=SMALL)


def test_a_calculation_that_needs_more_cycles_is_refused():
    with pytest.raises(ValueError, match="did not converge"):
        calculate(rocksalt(), settings=SMALL.model_copy(update={"max_cycles": 2}))


def test_a_missing_tblite_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite", None)
    with pytest.raises(UserError, match="the extra `xtb`"):
        xtb.provenance()


@pytest.mark.parametrize(
    ("lengths", "n_atoms", "expected"),
    [
        ((2.5, 2.5, 2.5), 1, (3, 3, 3)),
        ((4.0, 4.0 - 1e-9, 4.0), 2, (3, 2, 2)),  # equal but for noise: the first goes first
        ((3.56, 3.56, 7.4), 4, (3, 2, 1)),
        ((5.6, 7.7, 5.2), 6, (2, 1, 2)),
        ((9.0, 9.0, 3.0), 17, (1, 1, 1)),
        ((9.0, 9.0, 9.0), 40, (1, 1, 1)),
    ],
)
def test_the_shortest_vector_is_repeated_first(lengths, n_atoms, expected):
    assert supercell(np.array(lengths), n_atoms, 32) == expected


@pytest.mark.parametrize(
    ("orbitals", "n_electrons", "expected"),
    [
        ([0.0, 1.0], 2, 0.5),
        ([0.0, 10.0], 2, 0.7886),  # 0.025 ln(2 / 4e-14)
        ([0.0, 10.0], 1, 0.0),
        ([-5.0, 1.0, 1.0, 4.0], 4, 1.0),
    ],
)
def test_fermi_energy(orbitals, n_electrons, expected):
    assert fermi_energy(np.array(orbitals), n_electrons) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("n_electrons", [0, 4])
def test_orbitals_that_cannot_hold_the_electrons_are_refused(n_electrons):
    with pytest.raises(ValueError, match=f"2 orbitals cannot hold {n_electrons} electrons"):
        fermi_energy(np.array([0.0, 1.0]), n_electrons)


def test_an_orbital_is_a_gaussian_of_two_states():
    energies = np.arange(-3, 3, 0.01)
    result = broadened(np.array([0.5, 50.0]), energies, 0.15)
    assert result.sum() * 0.01 == pytest.approx(2.0)
    assert energies[result.argmax()] == pytest.approx(0.5)
    assert result.max() == pytest.approx(2 / (0.15 * np.sqrt(2 * np.pi)))
