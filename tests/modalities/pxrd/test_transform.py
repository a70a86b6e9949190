from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.modalities.pxrd.records import Pattern
from matbind.modalities.pxrd.settings import TransformSettings
from matbind.modalities.pxrd.transform import Transform, draw_patterns, hide
from matbind.modalities.strain import Strain
from tests.factories import copper, material, rocksalt, simulated, store_of, triclinic

SILENT = {
    "crystallite_size_nm": (50.0, 50.0),
    "zero_shift_deg": 0.0,
    "texture": 0.0,
    "noise": 0.0,
    "background": 0.0,
    "hidden": 0.0,
}
STRUCTURES = [copper(), rocksalt(), triclinic()]


def measured() -> Pattern:
    """A pattern of copper that was measured from 20 to 80 degrees."""
    intensity = simulated(copper()).intensity.copy()
    angle = np.linspace(5, 90, 8501)
    intensity[(angle < 20) | (angle > 80)] = np.nan
    return Pattern(intensity, simulated=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    given = [material(s, pxrd=simulated(s)) for s in STRUCTURES] + [material(copper(), pxrd=measured())]
    return store_of(tmp_path_factory.mktemp("stores"), "pxrd", given, {"n_bins": 1062})


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    given = [material(s, pxrd=simulated(s)) for s in STRUCTURES]
    return store_of(tmp_path_factory.mktemp("stores"), "pxrd", given, {"n_bins": 8501})


def transform_of(store, **changes) -> Transform:
    return Transform(store, TransformSettings(**(SILENT | changes)))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("number", range(3))
def test_at_strength_zero_the_drawn_pattern_is_the_stored_one(store, number):
    transform = transform_of(store)
    plain, drawn = transform(np.array([number])).pattern ** 2, transform(np.array([number]), rng=rng()).pattern ** 2
    # The last bins hold tails of peaks beyond the window, which the stored pattern does not know.
    np.testing.assert_allclose(drawn[:, :-5], plain[:, :-5], atol=0.01)


def test_at_strength_zero_the_measured_pattern_is_the_stored_one(store):
    transform = transform_of(store)
    torch.testing.assert_close(transform(np.array([3]), rng=rng()).pattern, transform(np.array([3])).pattern)


def test_the_plain_batch_is_the_root_of_what_is_stored(store):
    batch = transform_of(store)(np.array([1]))
    np.testing.assert_allclose(batch.pattern**2, store.dense("pattern", np.array([1])), atol=1e-6)
    assert batch.mask.all()


def test_what_was_not_measured_is_masked_and_zero(store):
    batch = transform_of(store)(np.array([3]))
    assert not batch.mask[0, :187].any()
    assert batch.mask[0, 188:936].all()
    assert not batch.mask[0, 937:].any()
    assert not batch.pattern[~batch.mask].any()


def test_what_was_not_measured_stays_zero_in_training(store):
    batch = transform_of(store, noise=0.3, background=0.3)(np.array([3]), rng=rng())
    assert not batch.pattern[~batch.mask].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"crystallite_size_nm": (10.0, 12.0)},
        {"zero_shift_deg": 0.3},
        {"texture": 0.5},
        {"noise": 0.2},
        {"background": 0.4},
        {"hidden": 0.4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_does_something(store, changes):
    plain, random = (
        transform(np.array([2]), rng=rng()).pattern
        for transform in (transform_of(store), transform_of(store, **changes))
    )
    assert (plain - random).abs().max() > 0.02


def test_angles_are_hidden_at_the_ends_only_and_the_rest_has_maximum_one(store):
    batch = transform_of(store, hidden=0.3)(np.full(200, 1), rng=rng())
    shown, pattern = batch.mask.numpy(), batch.pattern.numpy()

    assert not pattern[~shown].any()
    np.testing.assert_allclose(pattern.max(axis=1), 1)
    edges = np.diff(np.pad(shown.astype(int), ((0, 0), (1, 1))), axis=1)
    assert ((edges == 1).sum(axis=1) == 1).all(), "what is shown is one piece"
    share = 1 - shown.mean(axis=1)
    assert 0.35 < np.mean(share == 0) < 0.65
    assert 0.3 < share.max() <= 0.6


def test_a_pattern_with_all_peaks_at_the_hidden_end_is_left_whole():
    pattern = np.zeros((50, 100), dtype=np.float32)
    pattern[:, 0] = 1.0
    shown, mask = hide(pattern, np.ones_like(pattern, dtype=bool), 0.4, rng())

    assert (shown.max(axis=1) == 1).all()
    assert mask[:, 0].all()


@pytest.mark.parametrize("changes", [{"noise": 0.2}, {"background": 0.4}], ids=["noise", "background"])
def test_measured_patterns_get_noise_and_background_too(store, changes):
    plain, random = (
        transform(np.array([3]), rng=rng()).pattern
        for transform in (transform_of(store), transform_of(store, **changes))
    )
    assert (plain - random).abs().max() > 0.02


def peak_deg(pattern: torch.Tensor) -> float:
    return 5 + (pattern.argmax().item() + 0.5) * 85 / 8501


def test_a_strain_moves_a_peak_by_braggs_law(fine):
    # Copper's 111 peak lies at 43.38 degrees (d = 2.0842 A); two per cent longer, d = 2.1259 A, it lies at 42.53.
    grown = Strain(np.eye(3, dtype=np.float32)[None] * 1.02)
    transform = transform_of(fine)
    assert peak_deg(transform(np.array([0]), rng=rng()).pattern[0]) == pytest.approx(43.42, abs=0.01)
    assert peak_deg(transform(np.array([0]), rng=rng(), strain=grown).pattern[0]) == pytest.approx(42.52, abs=0.01)


def test_a_strain_equals_the_pattern_of_the_strained_crystal(fine):
    grown = Strain(np.eye(3, dtype=np.float32)[None] * 0.97)
    batch = transform_of(fine)(np.array([1]), rng=rng(), strain=grown).pattern[0] ** 2
    np.testing.assert_allclose(batch, simulated(rocksalt(5.64 * 0.97)).intensity, atol=0.06)


def test_each_material_has_its_own_strain(fine):
    gradient = np.stack([np.eye(3) * 1.02, np.eye(3)]).astype(np.float32)
    both = transform_of(fine)(np.array([0, 0]), rng=rng(), strain=Strain(gradient)).pattern
    assert peak_deg(both[1]) - peak_deg(both[0]) == pytest.approx(0.90, abs=0.02)


def drawn(**changes) -> np.ndarray:
    given = {
        "g": 1 / 2.0842,
        "intensity": 1.0,
        "size": 50.0,
        "shift": 0.0,
        "low": 5.0,
        "high": 90.0,
        "n_bins": 8500,
    } | changes
    return draw_patterns(
        np.array([given["g"]], dtype=np.float32),
        np.array([given["intensity"]], dtype=np.float32),
        np.array([1]),
        np.array([given["size"]]),
        np.array([given["shift"]]),
        1.54184,
        given["low"],
        given["high"],
        given["n_bins"],
    )[0]


def test_the_width_is_scherrers():
    # 0.9 * 1.54184 A / (50 nm * cos 21.71 deg) = 0.1711 degrees
    pattern = drawn()
    assert np.count_nonzero(pattern > pattern.max() / 2) * 0.01 == pytest.approx(0.171, abs=0.011)


def test_twenty_nanometres_at_forty_degrees_are_0_42_degrees_wide():
    pattern = drawn(g=2 * np.sin(np.radians(20)) / 1.54184, size=20.0)
    assert np.count_nonzero(pattern > pattern.max() / 2) * 0.01 == pytest.approx(0.42, abs=0.011)


def test_the_area_does_not_depend_on_the_size():
    assert drawn(size=10.0).sum() == pytest.approx(drawn(size=100.0).sum(), rel=1e-3)


def test_a_zero_shift_moves_all_peaks():
    assert drawn(shift=0.25).argmax() - drawn().argmax() == pytest.approx(25, abs=1)


def test_the_coarse_grid_holds_the_sums_of_the_fine_one():
    np.testing.assert_allclose(drawn(n_bins=850), drawn().reshape(850, 10).sum(axis=1), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("g", [0.0, 1.2969, 1.4])
def test_a_peak_that_no_angle_reaches_is_left_out(g):
    assert not drawn(g=g).any()


def test_a_peak_outside_the_window_is_left_out():
    assert not drawn(low=50.0).any()
    assert not drawn(high=40.0).any()


def test_the_maximum_is_one_whatever_is_added(store):
    transform = transform_of(store, noise=0.2, background=0.4, texture=0.5, zero_shift_deg=0.1)
    np.testing.assert_allclose(transform(np.arange(3), rng=rng()).pattern.amax(dim=1), 1)


def test_the_same_seed_gives_the_same_batch(store):
    transform = transform_of(store, noise=0.2, background=0.4, texture=0.5, crystallite_size_nm=(20.0, 100.0))
    assert torch.equal(transform(np.arange(4), rng=rng()).pattern, transform(np.arange(4), rng=rng()).pattern)


def test_a_batch_of_nothing_is_empty(store):
    transform = transform_of(store, noise=0.2, background=0.4, texture=0.5)
    assert transform(np.array([], dtype=np.int64), rng=rng()).pattern.shape == (0, 1062)


@pytest.mark.parametrize("size", [[0.0, 10.0], [-5.0, 10.0], [20.0, 10.0]])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="have to be above 0, the first not above the second"):
        TransformSettings(**(SILENT | {"crystallite_size_nm": size}))
