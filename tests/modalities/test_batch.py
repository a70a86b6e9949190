from __future__ import annotations

from dataclasses import dataclass

import torch

from matbind.modalities.batch import Batch


@dataclass(frozen=True)
class Inner(Batch):
    weight: torch.Tensor


@dataclass(frozen=True)
class Outer(Batch):
    length: torch.Tensor
    inner: Inner


def test_all_tensors_of_a_batch_and_of_the_batches_in_it_go_to_the_device():
    here = Outer(torch.ones(2), Inner(torch.ones(3)))

    there = here.to("meta")

    assert isinstance(there, Outer)
    assert isinstance(there.inner, Inner)
    assert {there.length.device.type, there.inner.weight.device.type} == {"meta"}
    assert {here.length.device.type, here.inner.weight.device.type} == {"cpu"}
