from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import perovskites
from matbind.analysis.labels import LABEL_SETS
from matbind.analysis.perovskites import assemble, excerpt, separation, separations
from matbind.analysis.task import UnavailableError
from tests.analysis.world import inputs_of, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


def separated(inputs, label, *, apart, jackknife=False):
    vectors = np.random.default_rng(0).normal(size=(len(label), 8))
    vectors[label == 1, 0] += apart
    return separation(inputs.request, vectors, label, jackknife=jackknife)


def test_a_planted_cluster_is_found(inputs):
    label = np.repeat([1.0, 0.0, np.nan], [15, 15, 10])
    result = separated(inputs, label, apart=10.0)
    assert (result["n_perovskite"], result["n_other"]) == (15, 15)
    assert result["overlap_area"] < 0.2
    assert result["p_permutation"] == 0.01  # of 99 relabellings none is as far apart
    assert result["mean_cosine_perovskite"] > 0.8
    curve = result["curve"]
    assert [len(values) for values in curve.values()] == [50, 50, 50]
    assert np.trapezoid(curve["other"], curve["cosine"]) == pytest.approx(1, abs=0.02)


def test_labels_that_mean_nothing_overlap(inputs):
    label = np.repeat([1.0, 0.0], 15)
    result = separated(inputs, np.random.default_rng(3).permutation(label), apart=0.0)
    assert result["overlap_area"] > 0.8
    assert result["p_permutation"] > 0.05


def test_two_perovskites_are_too_few(inputs):
    with pytest.raises(UnavailableError, match="2 perovskites and 9 others are judged, expected at least 3 of each"):
        separated(inputs, np.repeat([1.0, 0.0], [2, 9]), apart=0.0)


def test_every_group_is_left_out_once(inputs):
    result = separated(inputs, np.repeat([1.0, 0.0], 12), apart=1.0, jackknife=True)
    assert len(result["left_out"]) == 5
    assert len(set(result["left_out"])) == 5


def test_no_standard_error_from_few(inputs):
    assert separated(inputs, np.repeat([1.0, 0.0], [9, 30]), apart=1.0, jackknife=True)["left_out"] is None


def answers(names, overlaps):
    """What the tasks would find: every set and sample the same."""

    def by_set(area):
        result = {"overlap_area": area, "ks_statistic": 0.1, "p_permutation": 0.5, "left_out": [area, area + 0.2]}
        result["overlap_areas"] = [area]
        return {label_set: {sample: dict(result) for sample in ("all", "test")} for label_set in LABEL_SETS}

    return {name: by_set(area) for name, area in zip(names, overlaps, strict=True)}


def test_every_combination_beside_itself_with_pxrd(tmp_path):
    write_models(tmp_path, only=["crystal", "crystal+pxrd", "crystal+dos"])
    inputs = inputs_of(tmp_path)

    content = assemble(inputs, answers(["crystal", "crystal+pxrd", "crystal+dos"], [0.6, 0.5, 0.4]))

    first, second, *_ = content["with_and_without_pxrd"]["abx3"]["all"]
    assert (first["without"], first["with"]) == ("crystal", "crystal+pxrd")
    assert first["difference"] == pytest.approx(0.1)
    assert first["relative"] == pytest.approx(0.2)
    assert first["difference_standard_error"] == pytest.approx(0)  # both move by the same 0.2
    assert second["unavailable"] == "it was not trained"
    assert content["mean_relative_without_pxrd"]["abx3"]["all"] == pytest.approx(0.2)
    result = content["results"]["abx3"]["all"]["crystal"]
    assert result["standard_error"] == pytest.approx(0.1)  # sqrt(1/2 (0.1^2 + 0.1^2))
    assert "left_out" not in result
    numbers = {"overlap_area": 0.4, "ks_statistic": 0.1, "p_permutation": 0.5}
    assert excerpt(content)["abx3"]["test"]["crystal+dos"] == numbers


def test_a_set_without_enough_materials_says_so_and_leaves_the_others(inputs):
    by_set = separations(inputs.request, "crystal")
    assert set(by_set) == set(LABEL_SETS)
    assert "expected at least 3 of each" in by_set["chalcogenides"]["all"]["unavailable"]


def test_one_task_for_each_combination_with_crystal(inputs):
    assert [task.key for task in perovskites.tasks(inputs)] == inputs.all_with("crystal")
