from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.modalities.dos.records import Dos
from matbind.modalities.dos.settings import TransformSettings
from matbind.modalities.dos.transform import Transform
from tests.factories import flat_dos, material, store_of

SILENT = {"shift_ev": 0.0, "broadening_ev": 0.0, "noise": 0.0, "scale": 0.0}
WINDOW = {"window_ev": (-16.0, 8.0), "n_bins": 240}  # bins of 0.1 eV


def peak(at_ev: float) -> Dos:
    energies = np.linspace(-18, 10, 2801)
    return Dos(energies, 5 * np.exp(-(((energies - at_ev) / 0.5) ** 2)), 0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    given = [peak(-5.0), flat_dos(low_ev=-18.0, high_ev=3.0), flat_dos(low_ev=-18.0, high_ev=12.0)]
    return store_of(tmp_path_factory.mktemp("stores"), "dos", [material(dos=dos) for dos in given], WINDOW)


def transform_of(store, **changes) -> Transform:
    return Transform(store, TransformSettings(**(SILENT | changes)))


class FixedRng:
    """Draws that are always one standard deviation, or the upper end."""

    @staticmethod
    def normal(mean, sigma, shape):
        return np.full(shape, mean + sigma)

    @staticmethod
    def uniform(_low, high, shape):
        return np.full(shape, high)


def test_the_plain_batch_is_what_is_stored(store):
    batch = transform_of(store)(np.array([0, 1]))
    assert batch.density.dtype == torch.float32
    np.testing.assert_array_equal(batch.density[0], store.dense("density", np.array([0]))[0])


def test_what_was_not_calculated_is_masked_and_zero(store):
    batch = transform_of(store)(np.array([1]))
    assert batch.mask[0].sum() == 190
    assert not batch.density[0, 190:].any()


def test_what_was_not_calculated_stays_zero_in_training(store):
    batch = transform_of(store, shift_ev=0.3, broadening_ev=0.5, noise=0.1, scale=0.1)(
        np.array([1]), rng=np.random.default_rng(0)
    )
    assert not batch.density[0, 190:].any()


def test_at_strength_zero_augmentation_is_the_identity(store):
    plain, random = transform_of(store)(np.arange(3)), transform_of(store)(np.arange(3), rng=np.random.default_rng(0))
    assert torch.equal(plain.density, random.density)


@pytest.mark.parametrize("key", SILENT)
def test_every_setting_does_something(store, key):
    random = transform_of(store, **{key: 0.3})(np.array([0]), rng=np.random.default_rng(0))
    assert not torch.allclose(transform_of(store)(np.array([0])).density, random.density, atol=1e-3)


def test_a_shift_moves_by_its_number_of_bins(store):
    density = transform_of(store, shift_ev=0.7)(np.array([0]), rng=FixedRng()).density[0]
    expected = transform_of(store)(np.array([0])).density[0].roll(7)
    np.testing.assert_allclose(density, expected, atol=2e-3)


def test_a_shift_brings_nothing_in_from_the_other_end(store):
    given = np.zeros((1, 240), dtype=np.float32)
    given[0, 200:] = 3.0
    moved = transform_of(store, shift_ev=2.0).augment(given, FixedRng())
    assert moved[0, :150].max() < 0.3  # ringing of the step, not the three states of the upper end


def test_a_constant_density_survives_shift_and_broadening(store):
    density = transform_of(store, shift_ev=0.5, broadening_ev=0.5)(np.array([2]), rng=np.random.default_rng(0)).density
    np.testing.assert_allclose(density, transform_of(store)(np.array([2])).density, rtol=1e-4)


def test_broadening_adds_variances(store):
    density = transform_of(store, broadening_ev=0.6)(np.array([0]), rng=FixedRng()).density[0].numpy()
    energy = np.linspace(-16, 8, 241)[:-1] + 0.05
    mean = (energy * density).sum() / density.sum()
    variance = ((energy - mean) ** 2 * density).sum() / density.sum()
    assert variance == pytest.approx(0.5**2 / 2 + 0.6**2, rel=0.02)


def test_broadening_and_shift_keep_the_number_of_states(store):
    plain = transform_of(store)(np.array([0])).density
    density = transform_of(store, shift_ev=0.3, broadening_ev=0.5)(np.array([0]), rng=np.random.default_rng(0)).density
    assert density.sum().item() == pytest.approx(plain.sum().item(), rel=1e-3)


def test_a_scale_is_one_factor_a_material(store):
    ratio = transform_of(store, scale=0.2)(np.array([2, 2]), rng=np.random.default_rng(0)).density
    ratio = ratio / transform_of(store)(np.array([2, 2])).density
    np.testing.assert_allclose(ratio, ratio[:, :1].expand(2, 240), rtol=1e-5)
    assert ratio[0, 0] != ratio[1, 0]


def test_no_density_is_negative(store):
    batch = transform_of(store, shift_ev=0.3, broadening_ev=0.5, noise=1.0)(np.arange(3), rng=np.random.default_rng(0))
    assert batch.density.min() >= 0


def test_the_same_seed_gives_the_same_batch(store):
    batches = [
        transform_of(store, shift_ev=0.3, noise=0.1)(np.arange(3), rng=np.random.default_rng(4)).density
        for _ in range(2)
    ]
    assert torch.equal(*batches)


def test_a_batch_of_nothing_is_empty(store):
    transform = transform_of(store, shift_ev=0.3, broadening_ev=0.1, noise=0.1, scale=0.1)
    assert transform(np.array([], dtype=np.int64), rng=np.random.default_rng(0)).density.shape == (0, 240)
