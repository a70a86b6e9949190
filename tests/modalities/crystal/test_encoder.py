from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from matbind.materials.structure import Structure
from matbind.modalities.crystal.encoder import Encoder
from matbind.modalities.crystal.settings import EncoderSettings, TransformSettings
from matbind.modalities.crystal.transform import N_ELEMENTS, CrystalBatch, LongRangeBatch, Transform, graph_batch
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


def test_edges_are_expanded_in_gaussians_of_the_width_of_the_settings():
    net = encoder(gaussians=3, gaussian_stop_angstrom=2.0, gaussian_width_angstrom=0.5, reciprocal=None)
    seen = []
    net.convolutions[0].register_forward_hook(lambda _, given, __: seen.append(given[2]))
    itself, one = np.zeros((2, 1), dtype=np.int64), torch.ones(1)
    x = np.eye(1, N_ELEMENTS, dtype=np.float32)
    graph = graph_batch(x, itself, np.array([[1.25]], dtype=np.float32), np.array([0, 1]))
    net(CrystalBatch(graph=graph, long_range=LongRangeBatch(*[one] * 7)))
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


def test_a_crystal_without_edges_is_encoded_like_any_other(tmp_path):
    lonely = Structure.ordered(np.eye(3) * 20.0, [[0.0, 0.0, 0.0]], [18])
    net = encoder(reciprocal=None)
    alone = encode(tmp_path / "a", lonely, net=net)
    np.testing.assert_allclose(encode(tmp_path / "b", copper(), lonely, net=net)[1], alone[0], atol=1e-6)


def test_the_output_has_the_width_that_it_announces(tmp_path):
    for name, readout in (("with", READOUT), ("without", None)):
        net = encoder(reciprocal=readout)
        assert encode(tmp_path / name, copper(), net=net).shape == (1, net.out_dim)


def test_the_first_part_is_of_the_sites_and_the_second_of_the_cell(tmp_path):
    net = encoder()
    transform = Transform(store_of(tmp_path, "crystal", [material(copper())]), TransformSettings(jitter_angstrom=0))
    batch = transform(np.arange(1))
    other_cell = replace(batch, long_range=replace(batch.long_range, cell=batch.long_range.cell * 1.1))
    with torch.no_grad():
        first, second = (net(crystals).split(net.parts, dim=1) for crystals in (batch, other_cell))
    assert torch.equal(first[0], second[0])
    assert (first[1] - second[1]).abs().max() > 1e-3
    assert sum(net.parts) == net.out_dim


def test_without_a_reciprocal_readout_there_is_one_part():
    net = encoder(reciprocal=None)
    assert net.parts == (net.out_dim,)


def test_settings_refuse_an_unknown_key():
    with pytest.raises(ValueError, match="depth"):
        EncoderSettings(**(make_settings().modalities["crystal"].encoder.model_dump() | {"depth": 3}))


def test_models_from_before_there_was_a_choice_have_the_split_convolution():
    block = make_settings().modalities["crystal"].encoder.model_dump()
    del block["convolution"]
    assert EncoderSettings(**block).convolution == "SplitCGConv"
