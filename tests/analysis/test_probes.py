from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import probes
from matbind.analysis.probes import fuse
from tests.analysis.world import inputs, write_models
from tests.factories import needs_sample

nothing = np.array([np.nan, np.nan])


def test_fusing_takes_the_mean_of_the_directions_that_are_held():
    found = fuse({"dos": np.array([[2.0, 0.0], [3.0, 0.0], nothing]), "text": np.array([[0.0, 5.0], nothing, nothing])})
    np.testing.assert_allclose(found, [[0.5, 0.5], [1.0, 0.0], nothing])


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A crystal embedding that holds the crystal system as directions, and one of a DOS that holds nothing."""
    home = tmp_path_factory.mktemp("probes")
    write_models(home, only=["crystal"])  # for the symmetries
    systems = [found.crystal_system for found in inputs(home).symmetries]
    number = np.unique(systems, return_inverse=True)[1]

    def make(combination, split):
        random = np.random.default_rng(0).normal(size=(len(split), 8))
        return {"crystal": np.eye(8)[number] + 0.01 * random, "dos": random}

    write_models(home, make=make, only=["crystal+dos"])
    own = inputs(home)
    tasks = [task for task in probes.tasks(own) if task.key in {"crystal+dos", probes.BASELINE, "crystal"}]
    return probes.assemble(own, {task.key: task.call() for task in tasks})


@needs_sample
def test_a_planted_label_beats_the_composition(probed):
    told = probed["results"]["crystal+dos"]["crystal"]["crystal_system"]
    assert told["value"] > 0.8
    assert told["gain_over_composition"] == pytest.approx(
        told["value"] - probed["baseline"]["crystal_system"]["value"], abs=1e-12
    )
    assert told["gain_over_composition_ci95"][0] > 0


@needs_sample
def test_random_vectors_do_not(probed):
    told = probed["results"]["crystal+dos"]["dos"]["crystal_system"]
    assert told["value"] < 0.6
    assert told["majority"] is not None


@needs_sample
def test_a_probe_that_was_not_made_says_why(probed):
    told = probed["results"]["crystal+dos"]["fused"]["metal"]
    assert list(told) == ["unavailable"]
    assert "metal" in told["unavailable"]


@needs_sample
def test_the_fused_embedding_of_a_single_is_its_own(probed):
    assert probed["results"]["crystal"]["fused"] == probed["results"]["crystal"]["crystal"]


@needs_sample
def test_targets_say_how_many_know_them(probed):
    told = probed["targets"]["crystal_system"]
    assert (told["kind"], told["metric"], told["unit"]) == ("class", "accuracy", "")
    assert sum(told["known"].values()) == 60
