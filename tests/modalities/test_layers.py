from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from matbind.modalities.layers import (
    PartwiseHead,
    ProjectionHead,
    ResidualBlock,
    averages,
    blocks,
    channels_last,
    masked_mean,
    transformed,
)
from matbind.modalities.transformer_settings import TransformerSettings


def test_every_row_has_unit_length():
    rows = ProjectionHead(6, 4)(torch.randn(5, 6) * 100)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))


def test_it_is_a_layer_norm_and_a_linear_map_without_bias():
    head = ProjectionHead(6, 4)
    assert [name for name, _ in head.named_parameters()] == ["norm.weight", "norm.bias", "linear.weight"]
    x = torch.randn(3, 6)
    normal = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = normal @ head.linear.weight.T
    torch.testing.assert_close(head(x), expected / expected.norm(dim=1, keepdim=True))


def test_the_output_is_in_single_precision_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = ProjectionHead(6, 4)(torch.randn(3, 6))
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_each_part_has_its_block_of_the_space():
    head = PartwiseHead((6, 3), 5)
    x, other = torch.randn(4, 9), torch.randn(4, 3)
    rows, changed = head(x), head(torch.cat([x[:, :6], other], dim=1))
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    # Up to the length that both blocks share, the first block knows nothing of the second part.
    torch.testing.assert_close(*(torch.nn.functional.normalize(z[:, :3]) for z in (rows, changed)))
    assert (rows[:, 3:] - changed[:, 3:]).abs().max() > 1e-3


def test_blocks_are_as_even_as_can_be():
    assert blocks(128, 2) == [64, 64]
    assert blocks(5, 2) == [3, 2]


def test_the_mean_is_over_the_tokens_that_count():
    tokens = torch.tensor([[[1.0], [3.0], [9.0]], [[5.0], [7.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(tokens, mask).tolist() == [[2.0], [0.0]]


def test_heads_have_to_share_the_width_evenly():
    sizes = {"width": 32, "feedforward": 64, "dropout": 0.0}
    assert TransformerSettings(heads=4, **sizes).heads == 4
    with pytest.raises(ValidationError, match=r"width is 32, expected a multiple of heads \(5\)"):
        TransformerSettings(heads=5, **sizes)


@pytest.mark.parametrize("length", [1, 6, 300])
@pytest.mark.parametrize("masked", [True, False])
def test_a_layer_of_a_transformer_gives_what_the_librarys_gives(length, masked):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, 0.0, activation="gelu", batch_first=True, norm_first=True)
    x, known = torch.randn(3, length, 16, requires_grad=True), torch.ones(3, length, dtype=torch.bool)
    if masked:
        known[1, length // 2 + 1 :] = False
    weight = torch.randn(3, length, 16) * known[..., None]
    results = [
        [value * known[..., None], *torch.autograd.grad((value * weight).sum(), [x, *layer.parameters()])]
        for value in (transformed(x, layer, known if masked else None), layer(x, src_key_padding_mask=~known))
    ]
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("length", "n"), [(17, 17), (32, 16), (10, 3), (5, 1)])
def test_averages_of_pieces_are_the_librarys_adaptive_pooling(length, n):
    x = torch.randn(2, 4, length)
    expected = nn.AdaptiveAvgPool1d(n)(x).flatten(1)
    torch.testing.assert_close(averages(channels_last(x), n), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n_in", "stride"), [(8, 1), (16, 1), (16, 4)])
def test_a_residual_block_equals_its_layers_one_after_the_other_with_channels_first(n_in, stride):
    torch.manual_seed(0)
    block = ResidualBlock(n_in, 16, kernel=9, stride=stride, groups=8)
    x = torch.randn(3, n_in, 50, requires_grad=True)
    shortcut = block.shortcut(x)
    plain = block.second_norm(block.second(F.relu(block.first_norm(block.first(x)))))
    results = [
        [value, *torch.autograd.grad(value.square().sum(), [x, *block.parameters()])]
        for value in (F.relu(plain + shortcut), block(channels_last(x))[:, :, 0])
    ]
    for theirs, mine in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
