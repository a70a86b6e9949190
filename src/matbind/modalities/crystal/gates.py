"""The gated sum over neighbours of the crystal graph convolution, compiled: nothing that has one row an edge is stored.

With tensor operations every edge is read and written some twenty times in a step. Here the messages of an edge are
computed in the processor's registers, forward and once more backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from matbind.modalities.compiled import ONE, ZERO, compiled, exp_of_negative, inlined, log1p_to_one

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
NEGLIGIBLE = np.float32(1e-8)  # a feature of an edge that is smaller adds nothing in single precision


@inlined
def preactivate(  # noqa: PLR0917  compiled code takes plain positional arrays
    site: FloatArray,
    edge_weight: FloatArray,
    sender: int,
    receiver: int,
    edge_attr: FloatArray,
    e: int,
    features: FloatArray,
    pre: FloatArray,
) -> tuple[np.int32, np.int32]:
    """Write gate and value of an edge before their nonlinearities into ``pre``; return which features count.

    All but a few Gaussians of a length are zero. Those from the first to the last that is not are taken five at a time,
    so ``edge_weight`` and ``features`` end with four more rows of zeros.
    """
    n = edge_attr.shape[1]
    first, last = np.int32(n), np.int32(0)
    for k in range(n):
        features[k] = edge_attr[e, k]
    for k in range(n):
        counts = abs(features[k]) > NEGLIGIBLE
        first = min(first, np.int32(k) if counts else np.int32(n))
        last = max(last, np.int32(k + 1) if counts else np.int32(0))
    half = pre.shape[0]
    for j in range(half):
        pre[j] = site[receiver, j] + site[sender, half + j]
    for k in range(first, last, 5):
        f0, f1, f2, f3, f4 = features[k], features[k + 1], features[k + 2], features[k + 3], features[k + 4]
        for j in range(half):
            pre[j] += (
                f0 * edge_weight[k, j]
                + f1 * edge_weight[k + 1, j]
                + f2 * edge_weight[k + 2, j]
                + f3 * edge_weight[k + 3, j]
                + f4 * edge_weight[k + 4, j]
            )
    return first, last


@compiled
def messages_forward(
    site: FloatArray, edge_weight: FloatArray, edge_index: IndexArray, edge_attr: FloatArray, out: FloatArray
) -> None:
    """Add the message of every edge to the row of its receiver in ``out``."""
    width = out.shape[1]
    pre = np.empty(2 * width, np.float32)
    features = np.zeros(len(edge_weight), np.float32)
    for e in range(edge_index.shape[1]):
        sender, receiver = edge_index[0, e], edge_index[1, e]
        preactivate(site, edge_weight, sender, receiver, edge_attr, e, features, pre)
        for j in range(width):
            gate, value = pre[j], pre[width + j]
            closed = exp_of_negative(abs(gate))
            opened = (ONE if gate >= 0 else closed) / (ONE + closed)
            out[receiver, j] += opened * (max(value, ZERO) + log1p_to_one(exp_of_negative(abs(value))))


@compiled
def messages_backward(  # noqa: PLR0917  compiled code takes plain positional arrays
    site: FloatArray,
    edge_weight: FloatArray,
    edge_index: IndexArray,
    edge_attr: FloatArray,
    grad: FloatArray,
    site_grad: FloatArray,
    weight_grad: FloatArray,
) -> None:
    """Add the gradients of all messages to ``site_grad`` and ``weight_grad``."""
    width = grad.shape[1]
    pre = np.empty(2 * width, np.float32)
    features = np.zeros(len(edge_weight), np.float32)
    for e in range(edge_index.shape[1]):
        sender, receiver = edge_index[0, e], edge_index[1, e]
        first, last = preactivate(site, edge_weight, sender, receiver, edge_attr, e, features, pre)
        for j in range(width):
            gate, value, outer = pre[j], pre[width + j], grad[receiver, j]
            closed, low = exp_of_negative(abs(gate)), exp_of_negative(abs(value))
            both = ONE / ((ONE + closed) * (ONE + low))
            share, steep = both * (ONE + low), both * (ONE + closed)
            opened = share if gate >= 0 else closed * share
            pre[j] = outer * (max(value, ZERO) + log1p_to_one(low)) * closed * share * share
            pre[width + j] = outer * opened * (steep if value >= 0 else low * steep)
        for j in range(2 * width):
            site_grad[receiver, j] += pre[j]
            site_grad[sender, 2 * width + j] += pre[j]
        for k in range(first, last):
            for j in range(2 * width):
                weight_grad[k, j] += features[k] * pre[j]


class GatedSum(torch.autograd.Function):
    """sum_j sigmoid(gate) * softplus(value) of the edges that end at a site."""

    @staticmethod
    def forward(ctx: Any, site: Tensor, edge_weight: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Compute the value."""
        padded = F.pad(edge_weight.T, (0, 0, 0, 4))
        arrays = [tensor.detach().contiguous() for tensor in (site, padded, edge_index, edge_attr)]
        ctx.save_for_backward(*arrays)
        out = site.new_zeros(len(site), edge_weight.shape[0] // 2)
        messages_forward(*(array.numpy() for array in arrays), out.numpy())  # type: ignore[call-arg]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Compute the gradients."""
        site, edge_weight, edge_index, edge_attr = ctx.saved_tensors
        site_grad, weight_grad = torch.zeros_like(site), torch.zeros_like(edge_weight)
        given = site, edge_weight, edge_index, edge_attr, grads[0].contiguous()
        messages_backward(*(tensor.numpy() for tensor in (*given, site_grad, weight_grad)))
        return site_grad, weight_grad[:-4].T, None, None
