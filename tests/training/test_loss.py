from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from matbind.training.loss import info_nce
from tests.factories import run_ranks
from tests.training.ranks import vectors


def test_two_pairs_by_hand():
    # Similarities [[1, 0], [0.6, 0.8]] at temperature 1: rows by softmax, columns by softmax.
    hub = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    spoke = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    rows = -math.log(math.e / (math.e + 1)) - math.log(math.exp(0.8) / (math.exp(0.6) + math.exp(0.8)))
    columns = -math.log(math.e / (math.e + math.exp(0.6))) - math.log(math.exp(0.8) / (1 + math.exp(0.8)))
    assert info_nce(hub, spoke, torch.tensor(1.0)).item() == pytest.approx((rows + columns) / 4, abs=1e-6)


def test_it_is_the_symmetric_cross_entropy_of_torch():
    hub, spoke, logit_scale = vectors(7, 1), vectors(7, 2), torch.tensor(1 / 0.07)
    logits, target = logit_scale * hub @ spoke.T, torch.arange(7)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(info_nce(hub, spoke, logit_scale), expected)


def test_both_sides_count_the_same():
    hub, spoke, logit_scale = vectors(5, 1), vectors(5, 2), torch.tensor(4.0)
    torch.testing.assert_close(info_nce(hub, spoke, logit_scale), info_nce(spoke, hub, logit_scale))


def test_vectors_that_say_nothing_give_the_logarithm_of_the_batch():
    same = torch.ones(8, 4) / 2
    assert info_nce(same, same, torch.tensor(10.0)).item() == pytest.approx(math.log(8))


def test_matching_vectors_give_almost_nothing():
    assert info_nce(torch.eye(6), torch.eye(6), torch.tensor(100.0)).item() < 1e-6


def test_no_rows_cost_nothing_and_have_a_gradient():
    hub = torch.zeros(0, 4, requires_grad=True)
    loss = info_nce(hub, torch.zeros(0, 4), torch.tensor(1.0))
    loss.backward()
    assert loss.item() == 0
    assert hub.grad.shape == (0, 4)


def one_process(n: int) -> tuple[float, np.ndarray]:
    weight = vectors(6, 3).requires_grad_()
    loss = info_nce(vectors(n, 1) @ weight.T, vectors(n, 2), torch.tensor(3.0))
    loss.backward()
    return loss.item(), weight.grad.numpy()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    cases = ("even", "uneven", "one_empty", "all_empty")
    return run_ranks(tmp_path_factory.mktemp("ranks"), *(f"loss:{case}" for case in cases))


@pytest.mark.parametrize("case", ["even", "uneven", "one_empty"])
def test_two_processes_give_the_gradients_of_one(two_processes, case):
    loss, gradient = one_process(8)
    ranks = two_processes[f"loss:{case}"]
    assert np.mean([rank["loss"] for rank in ranks]) == pytest.approx(loss, rel=1e-12)
    for rank in ranks:
        np.testing.assert_allclose(rank["grad"], gradient, rtol=1e-9, atol=1e-14)


def test_two_processes_without_a_row_have_no_gradient(two_processes):
    for rank in two_processes["loss:all_empty"]:
        assert not rank["grad"].any()
