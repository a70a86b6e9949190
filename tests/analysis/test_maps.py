from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import maps
from matbind.analysis.task import perform
from matbind.materials.symmetry import Symmetry
from tests.analysis.world import inputs_of, noisy, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """One combination with crystal and one without; its crystal embedding varies in one direction only."""
    results_dir = tmp_path_factory.mktemp("maps")

    def make(combination, split):
        vectors = noisy(0.0)(combination, split)
        return {name: values * np.array([100.0, 1.0] + [0.0] * 14) for name, values in vectors.items()}

    write_models(results_dir, make=make, only=["crystal", "dos"])
    inputs = inputs_of(results_dir)
    return inputs, {task.key: perform(task.call).result for task in maps.tasks(inputs)}


def test_the_share_of_variance(mapped):
    analysed, results = mapped
    described = maps.assemble(analysed, results)["results"]["test"]["crystal"]
    assert described["n"] == len(analysed.test)
    assert described["explained_variance"][0] > 0.99


def test_a_combination_that_was_not_trained_says_so(mapped):
    analysed, results = mapped
    assert maps.assemble(analysed, results)["results"]["abx3"]["crystal+dos"] == {"unavailable": "it was not trained"}


def test_few_materials_have_principal_components_but_no_tsne(mapped):
    analysed, results = mapped
    assert len(analysed.test) <= maps.PERPLEXITY
    described = maps.assemble(analysed, results)["results"]["test"]["crystal"]
    assert "needs more rows" in described["tsne"]["unavailable"]
    table = maps.table(analysed, results).filter(sample="test")
    assert table["tsne_x"].null_count() == len(table) == len(analysed.test)
    assert table["pca_1"].null_count() == 0


def test_points_carry_what_is_known_of_their_materials(mapped):
    analysed, results = mapped
    row = maps.table(analysed, results).filter(sample="test").row(3, named=True)
    position = int(analysed.test[3])
    assert row["material_id"] == analysed.index["material_id"][position]
    assert row["space_group"] == analysed.symmetries[position].space_group
    assert row["crystal_system"] == Symmetry(row["space_group"], "", ()).crystal_system
    assert row["perovskite_abx3"] is None or isinstance(row["perovskite_abx3"], bool)


def test_a_map_holds_a_sample_of_many_materials():
    present = np.array([True, False] + [True] * 8)
    rows = maps._sample(present, 4, seed=0)
    assert len(rows) == 4
    assert 1 not in rows
    np.testing.assert_array_equal(rows, np.sort(rows))
    np.testing.assert_array_equal(maps._sample(present, 9, seed=0), np.flatnonzero(present))
