from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from matbind.base.files import read_json
from matbind.training import distributed
from tests.factories import SMALL_RUN, needs_sample, raw_settings, real_features, run_ranks


def test_one_process_gathers_nothing():
    rows = torch.ones(3, 2)
    gathered, offset = distributed.gather_rows(rows)
    assert gathered is rows
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
    for rank in two_processes["broadcast:"]:
        np.testing.assert_array_equal(rank["weight"], np.full((2, 2), 5.0))
        assert rank["world"] == 2


@needs_sample
def test_torchrun_trains_one_model_on_two_processes(tmp_path: Path, project_root: Path):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/features").symlink_to(real_features())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw_settings(SMALL_RUN | {"training.batch_size": 8})))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "matbind.cli", "train", "crystal+pxrd"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project_root / "src")}

    first = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert first.returncode == 0, first.stderr
    metrics = read_json(tmp_path / "metrics/combinations/crystal+pxrd.json")
    assert sorted(metrics["pairs"]) == ["crystal->pxrd", "pxrd->crystal"]
    assert first.stdout.count("epoch 1 of 2") == 1
    assert (again.returncode, again.stdout) == (0, "crystal+pxrd: already trained\n")
