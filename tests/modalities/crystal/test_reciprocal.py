from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.modalities.crystal.reciprocal import ReciprocalReadout, cell_features
from matbind.modalities.crystal.settings import TransformSettings
from matbind.modalities.crystal.transform import Transform
from matbind.modalities.strain import Strain
from tests.factories import copper, make_settings, material, rocksalt, store_of, triclinic

SETTINGS = make_settings().modalities["crystal"].encoder.reciprocal.model_copy(update={"n_bins": 256})


def readout() -> ReciprocalReadout:
    torch.manual_seed(0)
    return ReciprocalReadout(SETTINGS, 96).eval()


def transform_of(directory, *structures) -> Transform:
    return Transform(
        store_of(directory, "crystal", [material(s) for s in structures]), TransformSettings(jitter_angstrom=0)
    )


def test_peaks_stand_where_the_reflections_are(tmp_path):
    pattern = readout().patterns(transform_of(tmp_path, copper(3.61))(np.array([0])).long_range)[0, 0].detach().numpy()
    peaks = np.sqrt([3, 4, 8]) / 3.61 / 0.92 * 256
    for place in peaks:
        window = pattern[int(place) - 3 : int(place) + 4]
        assert (
            window.max() == pattern[int(place)]
            or window.max() == pattern[int(place - 0.5)]
            or window.max() == pattern[int(place + 0.5)]
        )
        assert window.max() > 5 * np.median(pattern)


def test_patterns_have_mean_square_one(tmp_path):
    pattern = readout().patterns(transform_of(tmp_path, copper(), rocksalt(), triclinic())(np.arange(3)).long_range)
    torch.testing.assert_close(pattern.square().mean(dim=2), torch.ones(3, 8))


def test_strain_moves_the_pattern_smoothly(tmp_path):
    transform, net = transform_of(tmp_path, rocksalt()), readout()
    steps = [Strain(np.eye(3, dtype=np.float32)[None] * factor) for factor in (1.0, 1.0005, 1.03)]
    with torch.no_grad():
        plain, near, far = (net.patterns(transform(np.array([0]), strain=step).long_range) for step in steps)
    assert (plain - near).abs().mean() < 0.25 * (plain - far).abs().mean()


def test_the_scattering_powers_learn(tmp_path):
    net = readout().train()
    features = net(transform_of(tmp_path, rocksalt())(np.array([0])).long_range)
    (features * torch.randn(features.shape)).sum().backward()
    moved = net.power.grad.abs().sum(dim=1)
    assert (moved[[10, 16]] > 0).all()
    assert moved.count_nonzero() == 2
    assert torch.isfinite(net.decay.grad).all()


def test_a_crystal_without_reflections_gives_finite_numbers(tmp_path):
    transform = Transform(
        store_of(tmp_path, "crystal", [material(copper())], {"g_stop_per_angstrom": 0.0}),
        TransformSettings(jitter_angstrom=0),
    )
    with torch.no_grad():
        features = readout()(transform(np.array([0])).long_range)
    assert torch.isfinite(features).all()


def test_peaks_beyond_the_grid_do_not_reach_the_next_material(tmp_path):
    transform, net = transform_of(tmp_path, copper(), rocksalt()), readout()
    shrunk = Strain(np.repeat(np.eye(3, dtype=np.float32)[None] * 0.7, 2, axis=0))
    with torch.no_grad():
        both = net.patterns(transform(np.array([0, 1]), strain=shrunk).long_range)
        alone = net.patterns(transform(np.array([1]), strain=shrunk.of(np.array([1]))).long_range)
    torch.testing.assert_close(both[1], alone[0])


def test_a_cell_is_lengths_angles_volume_and_sites():
    cell = torch.tensor([[[5.0, 0, 0], [0, 5.0, 0], [2.5, 0, 10.0]]])
    features = cell_features(cell, torch.tensor([4]))[0].tolist()
    length, cosine = np.sqrt(2.5**2 + 100), 2.5 / np.sqrt(2.5**2 + 100)
    expected = [0, 0, 2 * np.log(length / 5), 0, 2 * cosine, 0, 2 * np.log(250 / 4 / 18), np.log(0.5)]
    np.testing.assert_allclose(features, expected, atol=1e-6)


@pytest.mark.parametrize("index", [[0, 1, 2], [1], []])
def test_compiled_loops_draw_the_same_patterns_with_the_same_gradients(tmp_path, index):
    net = readout()
    batch = transform_of(tmp_path, copper(), rocksalt(), triclinic())(np.array(index, dtype=np.int64)).long_range
    results = []
    for draw in (net.compiled_patterns, net.patterns):
        drawn = draw(batch)
        weight = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
        results.append([drawn, *torch.autograd.grad((drawn * weight).sum(), [net.power, net.decay])])
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)
