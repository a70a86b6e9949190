from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind import distributed
from tests.factories import run_ranks


def test_one_process_gathers_nothing():
    rows = torch.ones(3, 2)
    found, offset = distributed.gather_rows(rows)
    assert found is rows
    assert offset == 0
    assert (distributed.rank(), distributed.world_size()) == (0, 1)


def test_one_process_averages_nothing():
    linear = torch.nn.Linear(2, 2)
    distributed.average_gradients(linear.parameters())
    distributed.broadcast_parameters(linear)
    assert linear.weight.grad is None


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return run_ranks(tmp_path_factory.mktemp("ranks"), "gather:uneven", "gather:one_empty", "broadcast:")


@pytest.mark.parametrize(("case", "offset"), [("uneven", 5), ("one_empty", 8)])
def test_rows_come_in_the_order_of_the_ranks_and_gradients_return_summed(two_processes, case, offset):
    first, second = two_processes[f"gather:{case}"]
    everything = np.arange(16.0).reshape(8, 2)
    np.testing.assert_array_equal(first["rows"], everything)
    np.testing.assert_array_equal(second["rows"], everything)
    assert (first["offset"], second["offset"]) == (0, offset)
    gradient = np.concatenate([first["grad"], second["grad"]])
    np.testing.assert_array_equal(gradient, 3 * np.arange(1, 9)[:, None] * np.ones((1, 2)))  # 1 + 2, of both ranks


def test_all_ranks_get_the_parameters_of_the_first(two_processes):
    for found in two_processes["broadcast:"]:
        np.testing.assert_array_equal(found["weight"], np.full((2, 2), 5.0))
        assert found["world"] == 2
