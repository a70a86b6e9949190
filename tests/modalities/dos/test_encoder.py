from __future__ import annotations

import pytest
import torch

from matbind.modalities.dos.encoder import Encoder
from matbind.modalities.dos.settings import EncoderSettings
from matbind.modalities.dos.transform import DosBatch

SETTINGS = EncoderSettings(width=32, layers=1, heads=4, feedforward=64, patch=8, dropout=0.0)


def encoder(n_bins: int = 120, **changes) -> Encoder:
    torch.manual_seed(0)
    return Encoder(SETTINGS.model_copy(update=changes), {"n_bins": n_bins}).eval()


def batch(n: int = 3, n_bins: int = 120) -> DosBatch:
    density = torch.rand(n, n_bins, generator=torch.Generator().manual_seed(1))
    return DosBatch(density, torch.ones(n, n_bins, dtype=torch.bool))


@pytest.mark.parametrize(("n_bins", "patch"), [(120, 8), (121, 8), (127, 8), (120, 1), (7, 8)])
def test_any_number_of_bins_fits_any_patch(n_bins, patch):
    vectors = encoder(n_bins, patch=patch)(batch(n_bins=n_bins))
    assert vectors.shape == (3, 32)
    assert torch.isfinite(vectors).all()


def test_a_batch_equals_its_members_one_by_one():
    net, both = encoder(), batch()
    both.mask[1, 80:] = False
    together = net(both)
    for row in range(3):
        alone = net(DosBatch(both.density[row : row + 1], both.mask[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_masked_bins_do_not_count():
    net, first, second = encoder(), batch(), batch()
    for given in (first, second):
        given.mask[:, 80:] = False
    second.density[:, 80:] = 7.0
    torch.testing.assert_close(net(first), net(second))


def test_the_place_of_a_peak_counts():
    given = batch(2)
    given.density[:] = 0
    given.density[0, 20] = given.density[1, 60] = 5.0
    vectors = encoder()(given)
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3


def test_a_batch_of_nothing_is_empty():
    assert encoder()(batch(0)).shape == (0, 32)
