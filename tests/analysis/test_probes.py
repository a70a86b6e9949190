from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import probes
from matbind.analysis.probes import fuse
from tests.analysis.world import inputs_of, write_models
from tests.factories import needs_sample

nothing = np.array([np.nan, np.nan])


def test_fusing_takes_the_mean_of_the_directions_that_are_held():
    fused = fuse({"dos": np.array([[2.0, 0.0], [3.0, 0.0], nothing]), "text": np.array([[0.0, 5.0], nothing, nothing])})
    np.testing.assert_allclose(fused, [[0.5, 0.5], [1.0, 0.0], nothing])


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A crystal embedding that holds the crystal system as directions, and one of a DOS that holds nothing."""
    results_dir = tmp_path_factory.mktemp("probes")
    write_models(results_dir, only=["crystal"])  # for the symmetries
    systems = [symmetry.crystal_system for symmetry in inputs_of(results_dir).symmetries]
    number = np.unique(systems, return_inverse=True)[1]

    def make(combination, split):
        random = np.random.default_rng(0).normal(size=(len(split), 8))
        return {"crystal": np.eye(8)[number] + 0.01 * random, "dos": random}

    write_models(results_dir, make=make, only=["crystal+dos"])
    inputs = inputs_of(results_dir)
    tasks = [task for task in probes.tasks(inputs) if task.key in {"crystal+dos", probes.BASELINE, "crystal"}]
    return probes.assemble(inputs, {task.key: task.call() for task in tasks})


@needs_sample
def test_a_planted_label_beats_the_composition(probed):
    result = probed["results"]["crystal+dos"]["crystal"]["crystal_system"]
    assert result["value"] > 0.8
    assert result["gain_over_composition"] == pytest.approx(
        result["value"] - probed["baseline"]["crystal_system"]["value"], abs=1e-12
    )
    assert result["gain_over_composition_ci95"][0] > 0


@needs_sample
def test_random_vectors_do_not(probed):
    result = probed["results"]["crystal+dos"]["dos"]["crystal_system"]
    assert result["value"] < 0.6
    assert result["majority"] is not None


@needs_sample
def test_a_probe_that_was_not_made_says_why(probed):
    result = probed["results"]["crystal+dos"]["fused"]["metal"]
    assert list(result) == ["unavailable"]
    assert "metal" in result["unavailable"]


@needs_sample
def test_the_fused_embedding_of_a_single_is_its_own(probed):
    assert probed["results"]["crystal"]["fused"] == probed["results"]["crystal"]["crystal"]


@needs_sample
def test_targets_say_how_many_know_them(probed):
    target = probed["targets"]["crystal_system"]
    assert (target["kind"], target["metric"], target["unit"]) == ("class", "accuracy", "")
    assert sum(target["known"].values()) == 60
