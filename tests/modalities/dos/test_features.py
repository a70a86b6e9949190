from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from matbind.modalities.dos import features as dos
from matbind.modalities.dos.features import binned_density
from matbind.modalities.dos.records import Dos
from matbind.modalities.dos.settings import FeaturesSettings
from tests.factories import flat_dos, material, rocksalt

WINDOW = {"window_ev": (-10.0, 6.0), "n_bins": 64}  # bins of 0.25 eV


def peak(at_ev: float, *, states: float = 3.0, efermi_ev: float = 2.0) -> Dos:
    """A peak far narrower than a bin: a triangle 0.02 eV wide at the foot."""
    energies = np.array([-20.0, at_ev - 0.01, at_ev, at_ev + 0.01, 20.0]) + efermi_ev
    return Dos(energies, np.array([0.0, 0.0, 100.0 * states, 0.0, 0.0]), efermi_ev)


def test_a_constant_density_stays_constant_and_is_per_atom():
    np.testing.assert_allclose(binned_density(flat_dos(density=3.0), n_atoms=2, **WINDOW), np.full(64, 1.5), rtol=1e-5)


def test_the_integral_of_a_peak_narrower_than_a_bin_is_kept():
    density = binned_density(peak(-3.1), n_atoms=2, **WINDOW)
    assert density.sum() * 0.25 == pytest.approx(1.5, rel=1e-5)


def test_energies_count_from_the_fermi_level():
    density = binned_density(peak(-3.1, efermi_ev=7.5), n_atoms=1, **WINDOW)
    assert np.flatnonzero(density).tolist() == [27]  # -3.25 to -3.0 eV


def test_the_integral_equals_numpys_over_a_rough_curve():
    rng = np.random.default_rng(0)
    energies = np.linspace(-10, 6, 801)
    rough = Dos(energies, rng.uniform(0, 5, 801), 0.0)
    density = binned_density(rough, n_atoms=1, **WINDOW)
    assert density.sum() * 0.25 == pytest.approx(np.trapezoid(rough.densities, energies), rel=1e-5)


def test_what_was_not_calculated_is_not_a_number():
    density = binned_density(flat_dos(high_ev=2.0), n_atoms=1, **WINDOW)
    assert np.isnan(density[49:]).all()
    assert np.isfinite(density[:48]).all()


def test_below_the_first_energy_there_are_no_states():
    density = binned_density(flat_dos(low_ev=-4.0), n_atoms=1, **WINDOW)
    assert (density[:24] == 0).all()
    assert density[25] == pytest.approx(2.0)


def test_a_negative_lobe_of_a_smearing_counts_as_nothing():
    energies = np.linspace(-12, 12, 481)
    lobed = Dos(energies, np.where(energies > 0, -0.01, 1.0), 0.0)
    assert binned_density(lobed, n_atoms=1, **WINDOW).min() == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (replace(flat_dos(), densities=np.ones(3)), "expected two equal lengths"),
        (Dos(np.array([0.0]), np.array([1.0]), 0.0), "expected two equal lengths of at least 2"),
        (replace(flat_dos(), densities=np.where(np.arange(481) == 7, np.nan, 1.0)), "not finite"),
        (replace(flat_dos(), densities=np.where(np.arange(481) == 7, np.inf, 1.0)), "not finite"),
        (replace(flat_dos(), efermi_ev=np.nan), "not finite"),
        (replace(flat_dos(), energies_ev=flat_dos().energies_ev[::-1]), "do not ascend"),
        (Dos(np.array([0.0, 0.0, 1.0]), np.ones(3), 0.0), "do not ascend"),
        (flat_dos(low_ev=-40.0, high_ev=-30.0), "no state between -10 and 6 eV"),
        (flat_dos(density=0.0), "no state between -10 and 6 eV"),
    ],
)
def test_binned_density_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        binned_density(given, n_atoms=1, **WINDOW)


def test_the_featurizer_divides_by_the_atoms_of_the_cell():
    settings = FeaturesSettings(**WINDOW)
    arrays = dos.Featurizer(settings, {})(material(rocksalt(), dos=flat_dos(density=4.0)))
    np.testing.assert_allclose(arrays["density"], np.full(64, 0.5), rtol=1e-5)


def test_a_material_without_a_dos_has_no_arrays():
    assert dos.Featurizer(FeaturesSettings(**WINDOW), {})(material(rocksalt())) is None


ENERGIES = np.linspace(-20, 20, 801)


@pytest.mark.parametrize(
    "densities",
    [np.ones(801), (ENERGIES > -5) * 1.0, np.sqrt(np.maximum(ENERGIES + 9, 0))],
    ids=["flat", "step", "root"],
)
def test_a_dos_without_a_peak_is_objected_to(densities):
    assert objection(Dos(ENERGIES, densities, 0.0)) == "it has no peak narrower than 2 eV"


def test_a_dos_with_a_peak_is_not():
    assert not objection(peak(-3.1))


def objection(given: Dos) -> str:
    return dos.objection({"density": binned_density(given, n_atoms=1, **WINDOW)}, WINDOW)
