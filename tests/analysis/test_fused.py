from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import fused
from tests.analysis.world import inputs_of, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """DOS and pXRD each tell another half of the crystal: together they tell all."""
    results_dir = tmp_path_factory.mktemp("fused")

    def make(combination, split):
        number = np.zeros(len(split), dtype=int)
        for side in set(split):
            number[split == side] = np.arange(np.count_nonzero(split == side))
        left, right = np.eye(4)[number % 4], np.eye(16)[number // 4]  # row and column of the material in a table
        return {
            "crystal": np.hstack([left, right]),
            "dos": np.hstack([left, 0 * right]),
            "pxrd": np.hstack([0 * left, right]),
        }

    write_models(results_dir, make=make, only=["crystal+dos+pxrd"])
    return inputs_of(results_dir)


def test_two_halves_make_a_whole(halves):
    result = fused.fused_and_parts(halves.request, "crystal+dos+pxrd")["dos+pxrd->crystal"]
    assert result["queries"] == ["dos", "pxrd"]
    assert result["key"] == "crystal"
    assert result["parts"] == {"dos": 0.0, "pxrd": 0.0}
    assert (result["recall_at_1"], result["gain"], result["gain_ci95"]) == (1.0, 1.0, (1.0, 1.0))


def test_only_combinations_of_three_or_more_are_asked(inputs):
    asked = {task.key for task in fused.tasks(inputs)}
    assert asked == {name for name in inputs.combinations if name.count("+") >= 2}


def test_missing_ones_say_so(halves):
    content = fused.assemble(halves, {"crystal+dos+pxrd": {}})
    assert content["results"]["dos+pxrd+text"] == {"unavailable": "it was not trained"}
    assert "crystal+dos" not in content["results"]
