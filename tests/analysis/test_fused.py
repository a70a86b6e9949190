from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import fused
from tests.analysis.world import inputs, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """DOS and pXRD each tell another half of the crystal: together they tell all."""
    home = tmp_path_factory.mktemp("fused")

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

    write_models(home, make=make, only=["crystal+dos+pxrd"])
    return inputs(home)


def test_two_halves_make_a_whole(halves):
    told = fused.fused_and_parts(halves.request, "crystal+dos+pxrd")["dos+pxrd->crystal"]
    assert told["queries"] == ["dos", "pxrd"]
    assert told["key"] == "crystal"
    assert told["parts"] == {"dos": 0.0, "pxrd": 0.0}
    assert (told["recall_at_1"], told["gain"], told["gain_ci95"]) == (1.0, 1.0, (1.0, 1.0))


def test_only_combinations_of_three_or_more_are_asked(found):
    asked = {task.key for task in fused.tasks(found)}
    assert asked == {name for name in found.combinations if name.count("+") >= 2}


def test_missing_ones_say_so(halves):
    content = fused.assemble(halves, {"crystal+dos+pxrd": {}})
    assert content["results"]["dos+pxrd+text"] == {"unavailable": "it was not trained"}
    assert "crystal+dos" not in content["results"]
