from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import maps
from matbind.analysis.task import perform
from matbind.materials.symmetry import crystal_system
from tests.analysis.world import inputs, noisy, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """One combination with crystal and one without; its crystal embedding varies in one direction only."""
    home = tmp_path_factory.mktemp("maps")

    def make(combination, split):
        vectors = noisy(0.0)(combination, split)
        return {name: values * np.array([100.0, 1.0] + [0.0] * 14) for name, values in vectors.items()}

    write_models(home, make=make, only=["crystal", "dos"])
    own = inputs(home)
    return own, {task.key: perform(task.call).result for task in maps.tasks(own)}


def test_the_share_of_variance(mapped):
    own, found = mapped
    told = maps.assemble(own, found)["results"]["test"]["crystal"]
    assert told["n"] == len(own.test)
    assert told["explained_variance"][0] > 0.99


def test_a_combination_that_was_not_trained_says_so(mapped):
    own, found = mapped
    assert maps.assemble(own, found)["results"]["abx3"]["crystal+dos"] == {"unavailable": "it was not trained"}


def test_few_materials_have_principal_components_but_no_tsne(mapped):
    own, found = mapped
    assert len(own.test) <= maps.PERPLEXITY
    told = maps.assemble(own, found)["results"]["test"]["crystal"]
    assert "needs more rows" in told["tsne"]["unavailable"]
    table = maps.table(own, found).filter(sample="test")
    assert table["tsne_x"].null_count() == len(table) == len(own.test)
    assert table["pca_1"].null_count() == 0


def test_points_carry_what_is_known_of_their_materials(mapped):
    own, found = mapped
    row = maps.table(own, found).filter(sample="test").row(3, named=True)
    position = int(own.test[3])
    assert row["material_id"] == own.index["material_id"][position]
    assert row["space_group"] == own.symmetries[position].space_group
    assert row["crystal_system"] == crystal_system(row["space_group"])
    assert row["perovskite_abx3"] is None or isinstance(row["perovskite_abx3"], bool)


def test_a_map_holds_a_sample_of_many_materials():
    held = np.array([True, False] + [True] * 8)
    rows = maps._sample(held, 4, seed=0)
    assert len(rows) == 4
    assert 1 not in rows
    np.testing.assert_array_equal(rows, np.sort(rows))
    np.testing.assert_array_equal(maps._sample(held, 9, seed=0), np.flatnonzero(held))
