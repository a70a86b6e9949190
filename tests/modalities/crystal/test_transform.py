from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from matbind.materials.structure import Structure
from matbind.modalities.crystal.settings import TransformSettings
from matbind.modalities.crystal.transform import Transform
from matbind.modalities.strain import Strain
from tests.factories import copper, material, mixed, rocksalt, store_of, triclinic

STRUCTURES = [copper(), mixed(), Structure.ordered(np.eye(3) * 20.0, [[0.0, 0.0, 0.0]], [18]), triclinic()]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("stores"), "crystal", [material(s) for s in STRUCTURES])


@pytest.fixture
def transform(store):
    return Transform(store, TransformSettings(jitter_angstrom=0))


def lengths(batch) -> np.ndarray:
    return batch.graph.edge_attr[:, 0].numpy()


def test_copper_has_twelve_edges_of_2_553_angstrom_to_its_images(transform):
    graph = transform(np.array([0])).graph
    np.testing.assert_allclose(graph.edge_attr, np.full((12, 1), 2.5527), atol=1e-4)
    assert graph.edge_index.tolist() == [[0] * 12] * 2
    assert graph.x.nonzero().tolist() == [[0, 28]]


def test_a_lonely_site_has_no_edges(transform):
    graph = transform(np.array([2])).graph
    assert graph.edge_index.shape == (2, 0)
    assert graph.num_nodes == 1


def test_the_graphs_of_a_batch_stand_end_to_end(transform):
    graph = transform(np.array([1, 0, 3])).graph
    assert graph.num_graphs == 3
    assert graph.ptr.tolist() == [0, 5, 6, 10]
    assert graph.batch.tolist() == [0] * 5 + [1] + [2] * 4
    assert graph.validate()


def test_a_site_holds_its_elements_by_their_occupancies(transform):
    x = transform(np.array([0, 1])).graph.x
    assert (x.nonzero() + torch.tensor([0, 1])).tolist() == [[0, 29], [1, 38], [1, 56], [2, 22], [3, 8], [4, 8], [5, 8]]
    np.testing.assert_allclose(x[x > 0], [1, 0.3, 0.6, 1, 1, 1, 1])


def test_edges_are_sorted_by_the_site_they_reach(transform):
    assert transform(np.array([3, 1, 2, 3])).graph.is_sorted(sort_by_row=False)


@pytest.mark.parametrize("index", [[0], [1, 2, 0, 3], [2, 2]])
def test_pytorch_geometric_takes_a_batch_apart_and_makes_the_same_of_its_graphs(transform, index):
    graph = transform(np.array(index)).graph
    singles = graph.to_data_list()

    assert all(isinstance(single, Data) for single in singles)
    for position, single in zip(index, singles, strict=True):
        alone = transform(np.array([position])).graph
        for name in ("x", "edge_index", "edge_attr"):
            torch.testing.assert_close(single[name], alone[name], rtol=0, atol=0)
    made = Batch.from_data_list(singles)
    assert sorted(made.keys()) == sorted(graph.keys())
    for name in made.keys():  # noqa: SIM118  # a batch is iterated over by graph
        torch.testing.assert_close(graph[name], made[name], rtol=0, atol=0)


def test_a_batch_goes_to_a_device_whole(transform):
    batch = transform(np.array([1, 0])).to("meta")
    assert {value.device.type for value in batch.graph.to_dict().values()} == {"meta"}
    assert batch.long_range.g.device.type == "meta"


def test_a_batch_comes_back_from_another_process(transform):
    batch = transform(np.array([1, 0]))
    again = pickle.loads(pickle.dumps(batch))  # noqa: S301  # just written
    assert isinstance(again.graph, Batch)
    torch.testing.assert_close(again.graph[1].edge_attr, batch.graph[1].edge_attr)


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
    assert np.abs(lengths(batch)[:, None] - by_pymatgen).min(axis=1).max() < 1e-5
    assert np.abs(lengths(batch) - lengths(transform(np.array([3])))).max() > 0.05


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
    np.testing.assert_allclose(lengths(batch)[[0, 12]], [2.5527 * 1.01, 2.5527 * 0.98], atol=1e-4)


def test_without_jitter_the_random_batch_is_the_plain_one(transform):
    plain, random = transform(np.array([1, 3])), transform(np.array([1, 3]), rng=np.random.default_rng(0))
    assert all(torch.equal(value, random.graph[name]) for name, value in plain.graph.to_dict().items())
    assert all(torch.equal(value, vars(random.long_range)[name]) for name, value in vars(plain.long_range).items())


def test_jitter_moves_sites_and_not_images(store):
    transform = Transform(store, TransformSettings(jitter_angstrom=0.05))
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(lengths(transform(np.array([0]), rng=rng)), lengths(transform(np.array([0]))), rtol=1e-6)
    moved = lengths(transform(np.array([3]), rng=rng)) - lengths(transform(np.array([3])))
    assert 0.01 < moved.std() < 0.15


def test_jitter_needs_a_source_of_randomness(store):
    plain, jittered = (
        Transform(store, TransformSettings(jitter_angstrom=0.0)),
        Transform(store, TransformSettings(jitter_angstrom=0.1)),
    )
    np.testing.assert_array_equal(lengths(plain(np.array([3]))), lengths(jittered(np.array([3]))))


def test_a_batch_of_nothing_is_empty(transform):
    batch = transform(np.array([], dtype=np.int64))
    assert batch.graph.num_graphs == 0
    assert batch.graph.edge_attr.shape == (0, 1)
    assert batch.long_range.g.shape == (0,)


def test_rocksalt_sites_see_the_other_kind_first(tmp_path):
    transform = Transform(store_of(tmp_path, "crystal", [material(rocksalt())]), TransformSettings(jitter_angstrom=0))
    graph = transform(np.array([0])).graph
    kinds = graph.x.argmax(dim=1)[graph.edge_index[0, :12]] + 1
    assert kinds.tolist() == [17] * 6 + [11] * 6
