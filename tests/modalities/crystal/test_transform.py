from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.materials.structure import Structure
from matbind.modalities.crystal.transform import Settings, Transform
from matbind.modalities.strain import Strain
from tests.factories import copper, material, mixed, rocksalt, store_of, triclinic

STRUCTURES = [copper(), mixed(), Structure.ordered(np.eye(3) * 20.0, [[0.0, 0.0, 0.0]], [18]), triclinic()]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("stores"), "crystal", [material(s) for s in STRUCTURES])


@pytest.fixture
def transform(store):
    return Transform(store, Settings(jitter_angstrom=0))


def test_copper_has_twelve_edges_of_2_553_angstrom(transform):
    batch = transform(np.array([0]))
    np.testing.assert_allclose(batch.distance, np.full((1, 12), 2.5527), atol=1e-4)
    assert batch.mask.all()
    assert batch.element.tolist() == [29]


def test_padding_is_masked(transform):
    batch = transform(np.array([2]))
    assert not batch.mask.any()
    assert batch.neighbor.tolist() == [[0] * 12]


def test_sites_of_a_batch_stand_end_to_end(transform):
    batch = transform(np.array([1, 0, 3]))
    assert batch.n_sites.tolist() == [5, 1, 4]
    assert batch.site_material.tolist() == [0] * 5 + [1] + [2] * 4
    assert batch.element.tolist() == [38, 56, 22, 8, 8, 8, 29, 20, 14, 8, 8]
    assert batch.entry_site.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_neighbours_point_into_their_own_crystal(transform):
    batch = transform(np.array([1, 0, 3]))
    owner = batch.site_material[batch.neighbor]
    assert (owner == batch.site_material[:, None])[batch.mask].all()


def test_partial_structure_factors_of_a_batch_stand_end_to_end(transform, store):
    batch = transform(np.array([1, 0]))
    alone = transform(np.array([0]))
    last = batch.long_range.peak_material == 1
    torch.testing.assert_close(batch.long_range.g[last], alone.long_range.g)
    of_last = batch.long_range.peak_material[batch.long_range.partial_peak] == 1
    torch.testing.assert_close(batch.long_range.partial[of_last], alone.long_range.partial)
    assert batch.long_range.partial_pair[of_last].unique(dim=0).tolist() == [[29, 29]]


def test_each_partial_stands_beside_its_pair(transform, store):
    batch = transform(np.array([0, 1]))
    n_peaks, n_pairs = int((batch.long_range.peak_material == 1).sum()), 10
    of_second = batch.long_range.peak_material[batch.long_range.partial_peak] == 1
    pairs = batch.long_range.partial_pair[of_second].view(n_peaks, n_pairs, 2)
    assert (pairs == pairs[0]).all()
    assert pairs[0].tolist() == store.ragged("element_pair", np.array([1])).values.tolist()


def test_a_strain_stretches_every_edge_by_its_own_direction(transform):
    gradient = np.diag([1.02, 1.0, 0.97]).astype(np.float32)
    batch = transform(np.array([3]), strain=Strain(gradient[None]))
    strained = Structure.ordered(triclinic().lattice @ gradient, triclinic().frac_coords, triclinic().atomic_number)
    by_pymatgen = strained.to_pymatgen().get_neighbor_list(8.0)[3]
    assert np.abs(batch.distance.numpy().ravel()[:, None] - by_pymatgen).min(axis=1).max() < 1e-5
    assert np.abs(batch.distance - transform(np.array([3])).distance).max() > 0.05


def test_a_strain_moves_reflections_by_the_inverse(transform):
    gradient = np.diag([1.02, 1.0, 0.97]).astype(np.float32)
    batch = transform(np.array([3]), strain=Strain(gradient[None])).long_range.g.numpy()
    reciprocal = np.linalg.inv(triclinic().lattice @ gradient).T
    hkl = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    allowed = np.unique(np.linalg.norm(hkl @ reciprocal, axis=1))
    assert np.abs(batch[:, None] - allowed).min(axis=1).max() < 1e-5


def test_each_material_has_its_own_strain(transform):
    gradient = np.stack([np.eye(3) * 1.01, np.eye(3) * 0.98]).astype(np.float32)
    batch = transform(np.array([0, 0]), strain=Strain(gradient))
    np.testing.assert_allclose(batch.distance[:, 0], [2.5527 * 1.01, 2.5527 * 0.98], atol=1e-4)


def test_without_jitter_the_random_batch_is_the_plain_one(transform):
    plain, random = transform(np.array([1, 3])), transform(np.array([1, 3]), rng=np.random.default_rng(0))
    for first, second in ((plain, random), (plain.long_range, random.long_range)):
        tensors = {name: value for name, value in vars(first).items() if isinstance(value, torch.Tensor)}
        assert all(torch.equal(value, vars(second)[name]) for name, value in tensors.items())


def test_jitter_moves_sites_and_not_images(store):
    transform = Transform(store, Settings(jitter_angstrom=0.05))
    rng = np.random.default_rng(0)
    torch.testing.assert_close(transform(np.array([0]), rng=rng).distance, transform(np.array([0])).distance)
    moved = transform(np.array([3]), rng=rng).distance - transform(np.array([3])).distance
    assert 0.01 < moved.std() < 0.15


def test_jitter_needs_a_source_of_randomness(store):
    plain, jittered = Transform(store, Settings(jitter_angstrom=0.0)), Transform(store, Settings(jitter_angstrom=0.1))
    assert torch.equal(plain(np.array([3])).distance, jittered(np.array([3])).distance)


def test_a_batch_of_nothing_is_empty(transform):
    batch = transform(np.array([], dtype=np.int64))
    assert batch.n_sites.shape == (0,)
    assert batch.distance.shape == (0, 12)
    assert batch.long_range.g.shape == (0,)


def test_rocksalt_sites_see_the_other_kind_first(tmp_path):
    transform = Transform(store_of(tmp_path, "crystal", [material(rocksalt())]), Settings(jitter_angstrom=0))
    batch = transform(np.array([0]))
    kinds = batch.element[batch.neighbor]
    assert kinds[0, :6].tolist() == [17] * 6
    assert kinds[0, 6:].tolist() == [11] * 6
