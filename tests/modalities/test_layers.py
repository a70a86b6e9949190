from __future__ import annotations

import torch

from matbind.modalities.layers import ProjectionHead


def test_every_row_has_unit_length():
    found = ProjectionHead(6, 4)(torch.randn(5, 6) * 100)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))


def test_it_is_a_layer_norm_and_a_linear_map_without_bias():
    head = ProjectionHead(6, 4)
    assert [name for name, _ in head.named_parameters()] == ["norm.weight", "norm.bias", "linear.weight"]
    x = torch.randn(3, 6)
    normal = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = normal @ head.linear.weight.T
    torch.testing.assert_close(head(x), expected / expected.norm(dim=1, keepdim=True))


def test_the_output_is_in_single_precision_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ProjectionHead(6, 4)(torch.randn(3, 6))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
