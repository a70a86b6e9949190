"""Virtual powder patterns drawn by compiled loops: each reflection is one step of a loop, forward and backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matbind.modalities.compiled import ZERO, compiled, exp_of_negative

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
SMALLEST_SQUARE = np.float32(1e-4)  # of |g|, 1/angstrom^2, below which intensities grow no more
FLOOR, SHARE_OF_MEAN = np.float32(1e-8), np.float32(1e-3)  # added under the root, so that empty bins have a slope


@compiled
def structure_factors(power: FloatArray, partial: FloatArray, peak: IndexArray, pair: IndexArray, n: int) -> FloatArray:
    """Weigh the partial structure factors of every peak with the powers of its elements, shape (n, n_channels)."""
    summed = np.zeros((n, power.shape[1]), np.float32)
    for i in range(len(partial)):
        first, second, row = power[pair[i, 0] - 1], power[pair[i, 1] - 1], summed[peak[i]]
        for c in range(power.shape[1]):
            row[c] += partial[i] * first[c] * second[c]
    return summed


@compiled
def draw(  # noqa: PLR0917  compiled code takes plain positional arrays
    factors: FloatArray, decay: FloatArray, g: FloatArray, place: FloatArray, material: IndexArray, patterns: FloatArray
) -> None:
    """Add every peak to the two bins beside its place in ``patterns``, (n_materials, n_channels, n_bins)."""
    n_bins = patterns.shape[2]
    height = np.empty(factors.shape[1], np.float32)
    for p in range(len(g)):
        square = g[p] * g[p]
        for c in range(len(height)):
            height[c] = max(factors[p, c], ZERO) * exp_of_negative(decay[c] * square) / max(square, SMALLEST_SQUARE)
        left = math.floor(place[p])
        share = place[p] - np.float32(left)
        for c in range(len(height)):
            if 0 <= left < n_bins:
                patterns[material[p], c, left] += height[c] * (np.float32(1) - share)
            if 0 <= left + 1 < n_bins:
                patterns[material[p], c, left + 1] += height[c] * share


@compiled
def draw_backward(  # noqa: PLR0917  compiled code takes plain positional arrays
    factors: FloatArray,
    decay: FloatArray,
    g: FloatArray,
    place: FloatArray,
    material: IndexArray,
    grad: FloatArray,
    decay_grad: FloatArray,
) -> None:
    """Replace ``factors`` by their gradients, and add those of ``decay`` to ``decay_grad``."""
    n_bins = grad.shape[2]
    for p in range(len(g)):
        square = g[p] * g[p]
        left = math.floor(place[p])
        share = place[p] - np.float32(left)
        for c in range(factors.shape[1]):
            of_height = ZERO
            if 0 <= left < n_bins:
                of_height += grad[material[p], c, left] * (np.float32(1) - share)
            if 0 <= left + 1 < n_bins:
                of_height += grad[material[p], c, left + 1] * share
            of_factor = of_height * exp_of_negative(decay[c] * square) / max(square, SMALLEST_SQUARE)
            decay_grad[c] -= of_factor * max(factors[p, c], ZERO) * square
            factors[p, c] = of_factor if factors[p, c] >= 0 else ZERO


@compiled
def structure_factors_backward(
    power: FloatArray, partial: FloatArray, peak: IndexArray, pair: IndexArray, grad: FloatArray
) -> FloatArray:
    """Compute the gradients of the powers."""
    power_grad = np.zeros_like(power)
    for i in range(len(partial)):
        a, b = pair[i, 0] - 1, pair[i, 1] - 1
        for c in range(power.shape[1]):
            of_weight = partial[i] * grad[peak[i], c]
            power_grad[a, c] += of_weight * power[b, c]
            power_grad[b, c] += of_weight * power[a, c]
    return power_grad


@compiled
def take_roots(patterns: FloatArray) -> FloatArray:
    """Replace intensities by their roots, of mean square 1 in every channel; return what they were divided by."""
    size = np.empty(patterns.shape[:2], np.float32)
    for m in range(patterns.shape[0]):
        for c in range(patterns.shape[1]):
            row = patterns[m, c]
            mean = row.sum() / np.float32(len(row))
            floor = FLOOR + SHARE_OF_MEAN * mean
            size[m, c] = np.sqrt(mean + floor)
            for i in range(len(row)):
                row[i] = np.sqrt(row[i] + floor) / size[m, c]
    return size


@compiled
def take_roots_backward(roots: FloatArray, size: FloatArray, grad: FloatArray) -> FloatArray:
    """Compute the gradients of the intensities; the floor of a channel, which follows its mean, counts as constant."""
    out = np.empty_like(roots)
    for m in range(roots.shape[0]):
        for c in range(roots.shape[1]):
            along = ZERO
            for i in range(roots.shape[2]):
                along += grad[m, c, i] * roots[m, c, i]
            along /= np.float32(roots.shape[2])
            factor = np.float32(0.5) / (size[m, c] * size[m, c])
            for i in range(roots.shape[2]):
                out[m, c, i] = (grad[m, c, i] / roots[m, c, i] - along) * factor
    return out


class Patterns(torch.autograd.Function):
    """Virtual powder patterns of crystals, as `ReciprocalReadout.patterns` defines them, on the CPU."""

    @staticmethod
    def forward(ctx: Any, power: Tensor, decay: Tensor, n_materials: int, n_bins: int, *peaks: Tensor) -> Tensor:
        """Compute the value."""
        g, place, material, partial, partial_peak, partial_pair = (tensor.numpy() for tensor in peaks)
        factors = structure_factors(power.detach().numpy(), partial, partial_peak, partial_pair, len(g))
        patterns = power.new_zeros(n_materials, power.shape[1], n_bins)
        draw(factors, decay.detach().numpy(), g, place, material, patterns.numpy())
        size = take_roots(patterns.numpy())
        ctx.save_for_backward(power, decay, patterns, torch.from_numpy(factors), torch.from_numpy(size), *peaks)
        return patterns

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients."""
        power, decay, roots, factors, size, *peaks = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        g, place, material, partial, partial_peak, partial_pair = peaks
        grad = take_roots_backward(roots, size, grads[0].contiguous().numpy())
        decay_grad, of_factors = np.zeros_like(decay), factors.copy()
        draw_backward(of_factors, decay, g, place, material, grad, decay_grad)
        power_grad = structure_factors_backward(power, partial, partial_peak, partial_pair, of_factors)
        return torch.from_numpy(power_grad), torch.from_numpy(decay_grad), *[None] * (2 + len(peaks))
