"""What follows a convolution, as one compiled loop on the CPU: group normalisation, a shortcut added, ReLU, max-pool.

Tensors have the shape (n, channels, 1, length) with the channels last in memory. PyTorch's own group normalisation is
ten times slower in that layout, in which its convolutions are fastest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import types
from numba.extending import overload
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.compiled import ONE, ZERO, compiled

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[Any]  # (n, length * channels), single precision or the bits of bfloat16
LANES = 64  # numbers that a loop takes at once, if they are a whole number of positions
EPSILON = 1e-5  # of nn.GroupNorm


def widen(x: Any) -> np.float32:
    """Return a number of single precision, or the bits of one of bfloat16, in single precision."""
    raise NotImplementedError


def narrow(x: Any, like: Any) -> Any:
    """Return a number of single precision in the type of another, bfloat16 as its bits and rounded to even."""
    raise NotImplementedError


@overload(widen, inline="always")
def _widen(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  numba compares signatures
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)
    return lambda x: x


@overload(narrow, inline="always")
def _narrow(x, like):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    if like == types.uint16:

        def rounded(x, like):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
            bits = np.float32(x).view(np.uint32)
            return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

        return rounded
    return lambda x, like: x  # noqa: ARG005


@compiled
def normalize(  # noqa: C901, PLR0912, PLR0917  one loop, and compiled code takes plain positional arrays
    x_rows: Rows,
    weight: FloatArray,
    bias: FloatArray,
    groups: int,
    shortcut_rows: Rows,
    y_rows: Rows,
    mean: FloatArray,
    spread: FloatArray,
) -> None:
    """Write relu(norm(x) + shortcut) to ``y``, and the mean and the inverse deviation of every group.

    ``x``, ``y`` and ``shortcut`` are (n, length * channels); a shortcut of no columns is none.
    """
    channels = len(weight)
    lanes = channels * max(LANES // channels, 1)
    channel = np.arange(lanes) % channels
    group = channel // (channels // groups)
    total, summed = np.empty(lanes, np.float32), np.empty(groups, np.float32)
    scale, shift = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    end = x_rows.shape[1]
    count = np.float32(end // groups)
    for m in range(x_rows.shape[0]):
        for which in range(2):  # the mean, then the deviations from it
            total[:] = 0
            for start in range(0, end, lanes):
                x = x_rows[m, start : start + lanes]
                if which == 0:
                    for j in range(len(x)):
                        total[j] += widen(x[j])
                else:
                    for j in range(len(x)):
                        deviation = widen(x[j]) - shift[j]
                        total[j] += deviation * deviation
            summed[:] = 0
            for j in range(lanes):
                summed[group[j]] += total[j]
            if which == 0:
                for g in range(groups):
                    mean[m, g] = summed[g] / count
                for j in range(lanes):
                    shift[j] = mean[m, group[j]]
            else:
                for g in range(groups):
                    spread[m, g] = ONE / np.sqrt(summed[g] / count + np.float32(EPSILON))
        for j in range(lanes):
            scale[j] = spread[m, group[j]] * weight[channel[j]]
            shift[j] = bias[channel[j]] - mean[m, group[j]] * scale[j]
        for start in range(0, end, lanes):
            x, y = x_rows[m, start : start + lanes], y_rows[m, start : start + lanes]
            if shortcut_rows.shape[1]:
                shortcut = shortcut_rows[m, start : start + lanes]
                for j in range(len(x)):
                    value = widen(x[j]) * scale[j] + shift[j] + widen(shortcut[j])
                    y[j] = narrow(max(value, ZERO), x[j])
            else:
                for j in range(len(x)):
                    y[j] = narrow(max(widen(x[j]) * scale[j] + shift[j], ZERO), x[j])


@compiled
def normalize_backward(  # noqa: C901, PLR0917  compiled code takes plain positional arrays
    x_rows: Rows,
    weight: FloatArray,
    groups: int,
    y_rows: Rows,
    mean: FloatArray,
    spread: FloatArray,
    grad_rows: Rows,
    x_grads: Rows,
    shortcut_grads: Rows,
    weight_grad: FloatArray,
    bias_grad: FloatArray,
) -> None:
    """Write the gradients of ``x`` and of the shortcut, and add those of weight and bias."""
    channels = len(weight)
    lanes = channels * max(LANES // channels, 1)
    channel = np.arange(lanes) % channels
    group = channel // (channels // groups)
    of_bias, of_weight = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    of_mean, of_spread = np.empty(groups, np.float32), np.empty(groups, np.float32)
    middle, inverse = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    a, b, scale = np.empty(lanes, np.float32), np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    end = x_rows.shape[1]
    count = np.float32(end // groups)
    for m in range(x_rows.shape[0]):
        for j in range(lanes):
            middle[j], inverse[j] = mean[m, group[j]], spread[m, group[j]]
        of_bias[:] = 0
        of_weight[:] = 0
        for start in range(0, end, lanes):
            x, y = x_rows[m, start : start + lanes], y_rows[m, start : start + lanes]
            grad = grad_rows[m, start : start + lanes]
            for j in range(len(x)):
                outer = widen(grad[j]) if widen(y[j]) > ZERO else ZERO
                of_bias[j] += outer
                of_weight[j] += outer * (widen(x[j]) - middle[j]) * inverse[j]
        of_mean[:] = 0
        of_spread[:] = 0
        for j in range(lanes):
            weight_grad[channel[j]] += of_weight[j]
            bias_grad[channel[j]] += of_bias[j]
            of_mean[group[j]] += weight[channel[j]] * of_bias[j] / count
            of_spread[group[j]] += weight[channel[j]] * of_weight[j] / count
        for j in range(lanes):
            # x_grad = inverse * (weight * outer - its mean - xhat * the mean of its product with xhat), a line in x
            scale[j] = inverse[j] * weight[channel[j]]
            b[j] = -inverse[j] * inverse[j] * of_spread[group[j]]
            a[j] = -inverse[j] * of_mean[group[j]] - b[j] * middle[j]
        for start in range(0, end, lanes):
            x, y = x_rows[m, start : start + lanes], y_rows[m, start : start + lanes]
            grad = grad_rows[m, start : start + lanes]
            x_grad = x_grads[m, start : start + lanes]
            for j in range(len(x)):
                outer = widen(grad[j]) if widen(y[j]) > ZERO else ZERO
                x_grad[j] = narrow(scale[j] * outer + a[j] + b[j] * widen(x[j]), x[j])
            if shortcut_grads.shape[1]:
                shortcut_grad = shortcut_grads[m, start : start + lanes]
                for j in range(len(x)):
                    shortcut_grad[j] = narrow(widen(grad[j]) if widen(y[j]) > ZERO else ZERO, x[j])


@compiled
def largest_of_three(x: Rows, y: Rows, channels: int) -> None:
    """Write the largest of every other position and its two neighbours, of numbers that are not negative."""
    last = x.shape[1] // channels - 1
    for m in range(x.shape[0]):
        for i in range(y.shape[1] // channels):
            before, behind = max(2 * i - 1, 0) * channels, min(2 * i + 1, last) * channels
            x1, x2, x3 = x[m, before : before + channels], x[m, 2 * i * channels :], x[m, behind:]
            largest = y[m, i * channels : (i + 1) * channels]
            for c in range(len(largest)):
                largest[c] = max(x1[c], x2[c], x3[c])


@compiled
def largest_of_three_backward(x: Rows, y: Rows, channels: int, grad: Rows, x_grad: Rows) -> None:
    """Write the gradients: that of each largest goes to the first position which has it."""
    last = x.shape[1] // channels - 1
    summed = np.empty(x.shape[1], np.float32)
    for m in range(x.shape[0]):
        summed[:] = 0
        for i in range(y.shape[1] // channels):
            before, behind = max(2 * i - 1, 0) * channels, min(2 * i + 1, last) * channels
            here = slice(i * channels, (i + 1) * channels)
            x1, x2, largest, outer = (
                x[m, before : before + channels],
                x[m, 2 * i * channels :],
                y[m, here],
                grad[m, here],
            )
            to1, to2, to3 = summed[before : before + channels], summed[2 * i * channels :], summed[behind:]
            for c in range(len(to1)):
                value, top = widen(outer[c]), widen(largest[c])
                to1[c] += value if widen(x1[c]) == top else ZERO
            for c in range(len(to1)):
                value, top, is_first = widen(outer[c]), widen(largest[c]), widen(x1[c]) == widen(largest[c])
                to2[c] += value if (widen(x2[c]) == top) & (not is_first) else ZERO
            for c in range(len(to1)):
                value, top, is_first = widen(outer[c]), widen(largest[c]), widen(x1[c]) == widen(largest[c])
                to3[c] += ZERO if (widen(x2[c]) == top) | is_first else value
        filled = x_grad[m]
        for i in range(len(filled)):
            filled[i] = narrow(summed[i], filled[i])


def rows(x: Tensor) -> Any:
    """View (n, channels, 1, length), channels last, as an array (n, length * channels); bfloat16 as its bits."""
    flat = x.detach().permute(0, 2, 3, 1).contiguous().flatten(1)
    return (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()


def empty_rows(x: Tensor, length: int | None = None) -> Tensor:
    """Make room for a tensor like x, or of another length, channels last."""
    n, channels, _, old = x.shape
    return x.new_empty(n, 1, old if length is None else length, channels).permute(0, 3, 1, 2)


class NormedReLU(torch.autograd.Function):
    """relu(group_norm(x) + shortcut)."""

    @staticmethod
    def forward(  # noqa: PLR0917  the library's interface
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, shortcut: Tensor | None
    ) -> Tensor:
        """Compute the value."""
        y = empty_rows(x)
        mean, spread = x.new_empty(2, len(x), groups, dtype=torch.float32)
        added = rows(x)[:, :0] if shortcut is None else rows(shortcut.to(x.dtype))
        factor, offset = weight.detach().numpy(), bias.detach().numpy()
        normalize(rows(x), factor, offset, groups, added, rows(y), mean.numpy(), spread.numpy())
        ctx.save_for_backward(x, weight, y, mean, spread)
        ctx.groups, ctx.shortcut = groups, None if shortcut is None else shortcut.dtype
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients."""
        x, weight, y, mean, spread = ctx.saved_tensors
        x_grad = empty_rows(x)
        shortcut_grad = None if ctx.shortcut is None else empty_rows(x)
        weight_grad, bias_grad = torch.zeros_like(weight), torch.zeros_like(weight)
        normalize_backward(
            rows(x),
            weight.detach().numpy(),
            ctx.groups,
            rows(y),
            mean.numpy(),
            spread.numpy(),
            rows(grads[0].to(x.dtype)),
            rows(x_grad),
            rows(x)[:, :0] if shortcut_grad is None else rows(shortcut_grad),
            weight_grad.numpy(),
            bias_grad.numpy(),
        )
        added = None if shortcut_grad is None else shortcut_grad.to(ctx.shortcut)
        return x_grad, weight_grad, bias_grad, None, added


class LargestOfThree(torch.autograd.Function):
    """Max-pool of width 3 and stride 2 with a margin of 1, of numbers that are not negative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Compute the value."""
        y = empty_rows(x, (x.shape[3] + 1) // 2)
        largest_of_three(rows(x), rows(y), x.shape[1])
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Compute the gradients."""
        x, y = ctx.saved_tensors
        x_grad = empty_rows(x)
        largest_of_three_backward(rows(x), rows(y), x.shape[1], rows(grads[0].to(x.dtype)), rows(x_grad))
        return x_grad


def normed_relu(x: Tensor, norm: nn.GroupNorm, shortcut: Tensor | None = None) -> Tensor:
    """Compute relu(norm(x) + shortcut)."""
    if x.device.type == "cpu":
        parameters = norm.weight, norm.bias, norm.num_groups
        fused: Tensor = NormedReLU.apply(x, *parameters, shortcut)  # type: ignore[no-untyped-call]
        return fused
    y = norm(x)
    return F.relu(y if shortcut is None else y + shortcut)


def pooled(x: Tensor) -> Tensor:
    """Max-pool of width 3 and stride 2, with a margin of 1, of numbers that are not negative."""
    if x.device.type == "cpu":
        largest: Tensor = LargestOfThree.apply(x)  # type: ignore[no-untyped-call]
        return largest
    return F.max_pool2d(x, (1, 3), (1, 2), (0, 1))
