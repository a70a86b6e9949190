from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.normed import LargestOfThree, NormedReLU, normed_relu, pooled


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers about 0.5, (n, channels, 1, length), channels last."""
    n, channels, length = shape
    drawn = torch.randn(n, 1, length, channels, generator=torch.Generator().manual_seed(seed)) + 0.5
    return drawn.permute(0, 3, 1, 2)


def norm(groups: int, channels: int) -> nn.GroupNorm:
    torch.manual_seed(1)
    layer = nn.GroupNorm(groups, channels)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    """The value, and gradients of a sum of it with uneven weights."""
    weight = torch.linspace(-1, 1, value.numel()).view(value.shape).to(value.dtype)
    return [value, *torch.autograd.grad((value * weight).sum(), inputs)]


@pytest.mark.parametrize("shape", [(5, 16, 33), (4, 32, 7), (3, 24, 5), (2, 96, 3), (2, 64, 1), (0, 16, 9)])
@pytest.mark.parametrize("with_shortcut", [True, False])
def test_one_loop_equals_group_norm_shortcut_and_relu_in_values_and_gradients(shape, with_shortcut):
    layer = norm(8, shape[1])
    x, shortcut = numbers(*shape).requires_grad_(), numbers(*shape, seed=2).requires_grad_()
    inputs = [x, layer.weight, layer.bias, *([shortcut] if with_shortcut else [])]
    expected = layer(x.contiguous()) + (shortcut if with_shortcut else 0)

    fused = normed_relu(x, layer, shortcut if with_shortcut else None)

    assert type(fused.grad_fn).__name__.startswith(NormedReLU.__name__)
    for mine, theirs in zip(gradients(fused, *inputs), gradients(F.relu(expected), *inputs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_computed_in_single_precision_and_rounded_once():
    layer, x, shortcut = norm(8, 16), numbers(4, 16, 40).bfloat16(), numbers(4, 16, 40, seed=2).bfloat16()
    expected = F.relu(layer(x.float().contiguous()) + shortcut.float())
    fused = normed_relu(x, layer, shortcut)
    assert fused.dtype == torch.bfloat16
    torch.testing.assert_close(fused.float(), expected, rtol=2**-8, atol=1e-6)


def test_gradients_of_bfloat16_are_those_of_single_precision():
    layer, x = norm(8, 16), numbers(4, 16, 40).bfloat16().requires_grad_()
    single = x.detach().float().contiguous().requires_grad_()
    mine = gradients(normed_relu(x, layer), x, layer.weight, layer.bias)
    theirs = gradients(F.relu(layer(single)), single, layer.weight, layer.bias)
    for a, b in zip(mine[1:], theirs[1:], strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.02, atol=0.01 * float(b.abs().max()))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 33), (3, 24, 8), (2, 8, 1), (2, 8, 2), (0, 8, 5)])
def test_the_largest_of_three_equals_the_librarys_max_pool(shape, kind):
    x = F.relu(numbers(*shape)).to(kind).requires_grad_()
    mine = gradients(pooled(x), x)
    theirs = gradients(F.max_pool2d(x, (1, 3), (1, 2), (0, 1)), x)
    torch.testing.assert_close(mine[0], theirs[0], rtol=0, atol=0)
    open_ = x > 0  # where all three are zero, ReLU before it lets no gradient through
    torch.testing.assert_close(mine[1] * open_, theirs[1] * open_, rtol=0.01, atol=1e-6)
    assert type(mine[0].grad_fn).__name__.startswith(LargestOfThree.__name__)
