from __future__ import annotations

import pytest
import torch

from matbind.modalities.pxrd.encoder import Encoder, ResidualBlock
from matbind.modalities.pxrd.settings import EncoderSettings
from matbind.modalities.pxrd.transform import PatternBatch

SETTINGS = EncoderSettings(widths=(16, 32), kernel=9, stride=4, pool=8, groups=8, dropout=0.0)


def encoder(n_bins: int = 531, **changes) -> Encoder:
    torch.manual_seed(0)
    return Encoder(SETTINGS.model_copy(update=changes), {"n_bins": n_bins}).eval()


def batch(n: int = 3, n_bins: int = 531) -> PatternBatch:
    pattern = torch.rand(n, n_bins, generator=torch.Generator().manual_seed(1))
    return PatternBatch(pattern, torch.ones(n, n_bins, dtype=torch.bool))


@pytest.mark.parametrize(("n_bins", "pool"), [(531, 8), (8501, 1), (64, 17), (16, 8)])
def test_the_output_has_the_width_that_it_announces(n_bins, pool):
    net = encoder(n_bins, pool=pool)
    assert net(batch(n_bins=n_bins)).shape == (3, net.out_dim)


def test_a_batch_equals_its_members_one_by_one():
    net, both = encoder(), batch()
    together = net(both)
    for row in range(3):
        alone = net(PatternBatch(both.pattern[row : row + 1], both.mask[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_what_was_measured_counts():
    net, whole, part = encoder(), batch(), batch()
    part.mask[:, 300:] = False
    assert (net(whole) - net(part)).abs().max() > 1e-3


def test_global_pooling_forgets_the_place_and_pieces_keep_it():
    given = batch(2)
    given.pattern[:] = 0
    given.pattern[0, 128] = given.pattern[1, 384] = 1.0
    whole, pieces = encoder(pool=1)(given), encoder(pool=8)(given)
    assert (whole[0] - whole[1]).abs().max() < 0.2 * (pieces[0] - pieces[1]).abs().max()


def test_a_block_projects_its_shortcut_only_where_the_shape_changes():
    assert isinstance(ResidualBlock(8, 8, kernel=3, stride=1, groups=4).shortcut, torch.nn.Identity)
    assert isinstance(ResidualBlock(8, 16, kernel=3, stride=1, groups=4).shortcut, torch.nn.Conv1d)
    assert ResidualBlock(8, 8, kernel=9, stride=4, groups=4)(torch.zeros(1, 8, 1, 101)).shape == (1, 8, 1, 26)


def test_a_batch_of_nothing_is_empty():
    net = encoder()
    assert net(batch(0)).shape == (0, net.out_dim)
