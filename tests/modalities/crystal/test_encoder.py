from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.materials.structure import Structure
from matbind.modalities.crystal.encoder import CrystalConvolution, Encoder, Settings
from matbind.modalities.crystal.transform import CrystalBatch, LongRangeBatch, Transform
from matbind.modalities.crystal.transform import Settings as TransformSettings
from tests.factories import copper, make_settings, material, mixed, rocksalt, store_of, supercell, triclinic

READOUT = make_settings().modalities["crystal"].encoder.reciprocal


def encoder(**changes) -> Encoder:
    torch.manual_seed(0)
    settings = make_settings().modalities["crystal"].encoder.model_copy(update={"reciprocal": READOUT} | changes)
    return Encoder(settings, {}).eval()


def encode(directory, *structures: Structure, net: Encoder | None = None, index=None) -> np.ndarray:
    transform = Transform(
        store_of(directory, "crystal", [material(s) for s in structures]), TransformSettings(jitter_angstrom=0)
    )
    with torch.no_grad():
        return (net or encoder())(transform(np.arange(len(structures)) if index is None else index)).numpy()


def test_the_convolution_equals_cgconv_of_pytorch_geometric():
    from torch_geometric.nn import CGConv

    torch.manual_seed(0)
    n_sites, k, width, edge_dim = 7, 5, 6, 4
    ours, oracle = CrystalConvolution(width, edge_dim), CGConv(width, dim=edge_dim, aggr="add")
    with torch.no_grad():
        receiver_gate, receiver_value, sender_gate, sender_value = ours.site.weight.chunk(4)
        edge_gate, edge_value = ours.edge.weight.chunk(2)
        oracle.lin_f.weight.copy_(torch.cat([receiver_gate, sender_gate, edge_gate], dim=1))
        oracle.lin_s.weight.copy_(torch.cat([receiver_value, sender_value, edge_value], dim=1))
        bias = ours.site.bias.chunk(4)
        oracle.lin_f.bias.copy_(bias[0] + bias[2])
        oracle.lin_s.bias.copy_(bias[1] + bias[3])
    x, edge = torch.randn(n_sites, width), torch.randn(n_sites, k, edge_dim)
    neighbor = torch.randint(0, n_sites, (n_sites, k))
    mask = torch.rand(n_sites, k) < 0.8
    receivers = torch.arange(n_sites)[:, None].expand(n_sites, k)
    expected = oracle(x, torch.stack([neighbor[mask], receivers[mask]]), edge[mask])
    torch.testing.assert_close(ours(x, neighbor, edge, mask[..., None].float()), expected)


def test_edges_are_expanded_in_gaussians_of_the_width_of_the_settings():
    net = encoder(gaussians=3, gaussian_stop_angstrom=2.0, gaussian_width_angstrom=0.5, reciprocal=None)
    seen = []
    net.convolutions[0].register_forward_hook(lambda _, given, __: seen.append(given[2]))
    one = torch.ones(1, dtype=torch.long)
    net(
        CrystalBatch(
            site_material=one - 1,
            element=one,
            occupancy=one.float(),
            entry_site=one - 1,
            neighbor=torch.zeros(1, 1, dtype=torch.long),
            distance=torch.tensor([[1.25]]),
            mask=torch.ones(1, 1, dtype=torch.bool),
            n_sites=one,
            long_range=LongRangeBatch(*[one] * 7),
        )
    )
    # Centres 0, 1, 2 angstrom: exp(-(1.25 - centre)^2 / 0.5^2).
    np.testing.assert_allclose(seen[0].detach().ravel(), np.exp([-6.25, -0.25, -2.25]), rtol=1e-5)


def test_the_gaussians_of_the_paper_are_0_2_angstrom_wide_and_apart():
    settings = make_settings(preset="paper").modalities["crystal"].encoder
    assert settings.gaussian_width_angstrom == 0.2
    assert settings.gaussian_stop_angstrom / (settings.gaussians - 1) == pytest.approx(0.2)


def test_a_batch_equals_its_crystals_one_by_one(tmp_path):
    structures = [copper(), mixed(), rocksalt(), triclinic()]
    together = encode(tmp_path / "all", *structures)
    for number, structure in enumerate(structures):
        np.testing.assert_allclose(encode(tmp_path / str(number), structure)[0], together[number], atol=2e-5)


def test_two_lattice_constants_are_two_vectors(tmp_path):
    vectors = encode(tmp_path, copper(3.61), copper(3.70))
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


@pytest.mark.parametrize("structure", [copper(), rocksalt(), mixed()], ids=["cu", "nacl", "mixed"])
def test_a_supercell_is_the_same_crystal(tmp_path, structure):
    vectors = encode(tmp_path, structure, supercell(structure, (2, 1, 3)))
    np.testing.assert_allclose(vectors[1], vectors[0], atol=2e-4)


def moved(structure: Structure) -> Structure:
    return Structure.ordered(
        structure.lattice, structure.frac_coords + np.array([0.3, -1.2, 0.7]), structure.atomic_number
    )


def turned(structure: Structure) -> Structure:
    turn, _ = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]]))
    return Structure.ordered(structure.lattice @ turn, structure.frac_coords, structure.atomic_number)


def shuffled(structure: Structure) -> Structure:
    order = np.random.default_rng(0).permutation(structure.n_sites)
    return Structure.ordered(structure.lattice, structure.frac_coords[order], structure.atomic_number[order])


@pytest.mark.parametrize("change", [moved, turned, shuffled])
@pytest.mark.parametrize("structure", [rocksalt(), triclinic()], ids=["nacl", "triclinic"])
def test_origin_orientation_and_order_of_the_sites_do_not_matter(tmp_path, structure, change):
    vectors = encode(tmp_path, structure, change(structure))
    np.testing.assert_allclose(vectors[1], vectors[0], atol=2e-4)


def test_the_occupancies_of_a_mixed_site_count(tmp_path):
    half = Structure(
        **{name: getattr(mixed(), name) for name in ("lattice", "frac_coords", "site_index", "atomic_number")},
        occupancy=np.array([0.6, 0.3, 1, 1, 1, 1]),
    )
    vectors = encode(tmp_path, mixed(), half)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_padding_does_not_reach_the_sites(tmp_path):
    lonely = Structure.ordered(np.eye(3) * 20.0, [[0.0, 0.0, 0.0]], [18])
    net = encoder(reciprocal=None)
    alone = encode(tmp_path / "a", lonely, net=net)
    np.testing.assert_allclose(encode(tmp_path / "b", copper(), lonely, net=net)[1], alone[0], atol=1e-6)


def test_the_output_has_the_width_that_it_announces(tmp_path):
    for name, readout in (("with", READOUT), ("without", None)):
        net = encoder(reciprocal=readout)
        assert encode(tmp_path / name, copper(), net=net).shape == (1, net.out_dim)


def test_branches_are_dropped_only_in_training(tmp_path):
    net = encoder(branch_dropout=0.5)
    np.testing.assert_array_equal(encode(tmp_path / "a", copper(), net=net), encode(tmp_path / "b", copper(), net=net))
    branches = np.split(encode(tmp_path / "c", *[copper()] * 40, net=net.train()), [2 * net.width], axis=1)
    dropped = [~branch.any(axis=1) for branch in branches]
    assert 5 < dropped[0].sum() < 35
    assert 5 < dropped[1].sum() < 35
    assert not (dropped[0] & dropped[1]).any()


def test_settings_refuse_an_unknown_key():
    with pytest.raises(ValueError, match="depth"):
        Settings(**(make_settings().modalities["crystal"].encoder.model_dump() | {"depth": 3}))
