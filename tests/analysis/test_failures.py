from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import failures
from matbind.analysis.failures import best_models, failures_of
from tests.analysis.world import inputs_of, noisy, write_models
from tests.factories import needs_sample

pytestmark = needs_sample
PAIR = ("pxrd->crystal",)


@pytest.fixture(scope="module")
def confused(tmp_path_factory):
    results_dir = tmp_path_factory.mktemp("failures")
    write_models(results_dir, make=noisy(2.0), only=["crystal+pxrd"])
    inputs = inputs_of(results_dir)
    return inputs, failures_of(inputs.request, "crystal+pxrd", PAIR)["pxrd->crystal"]


def test_failures_and_recall_agree_with_the_evaluation(confused):
    inputs, result = confused
    evaluated = inputs.runs["crystal+pxrd"]["pairs"]["pxrd->crystal"]
    assert result["n"] == evaluated["n"]
    assert result["recall_at_1"] == pytest.approx(evaluated["recall_at_1"])
    assert sum(result["relations"].values()) == result["n_failed"]


def test_the_worst_have_the_largest_margin(confused):
    _, result = confused
    margins = [row["margin"] for row in result["worst"]]
    assert len(margins) == 3
    assert margins == sorted(margins, reverse=True)
    assert margins[0] == pytest.approx(result["worst"][0]["found_similarity"] - result["worst"][0]["similarity"])


def test_recall_by_label_is_not_below_that_by_material(confused):
    _, result = confused
    for label in ("same_formula", "same_prototype"):
        assert result[f"recall_at_1_{label}"] >= result["recall_at_1"]
        assert result[f"chance_{label}"] >= 1 / result["n"] - 1e-12


def test_patterns_of_asked_and_found_are_kept_to_be_drawn(confused):
    inputs, result = confused
    content = failures.assemble(inputs, {"crystal+pxrd": {"pxrd->crystal": result, "crystal->pxrd": {"worst": []}}})
    patterns = content["patterns"]
    shown = {row[column] for row in result["worst"] for column in ("material_id", "found_id")}
    assert set(patterns["intensity"]) == shown
    angles = np.array(patterns["two_theta_deg"])
    assert 100 < len(angles) <= 200
    assert (angles[0], angles[-1]) == (pytest.approx(5, abs=0.5), pytest.approx(90, abs=0.5))
    assert all(max(pattern) == 1.0 and len(pattern) == len(angles) for pattern in patterns["intensity"].values())


def test_the_best_model_of_every_pair(tmp_path):
    write_models(tmp_path, make=noisy(2.0), only=["crystal+dos"])
    write_models(tmp_path, make=noisy(0.0), only=["crystal+dos+pxrd", "text"])
    best = best_models(inputs_of(tmp_path))
    assert best["dos->crystal"] == "crystal+dos+pxrd"
    assert "text->text" not in best


def test_a_pair_that_was_not_evaluated_says_so(inputs):
    results = failures_of(inputs.request, "crystal+dos", ("dos->text",))
    assert results == {"dos->text": {"unavailable": "it was not evaluated"}}


def test_the_combination_of_all_is_asked_everything(inputs):
    [everything] = [task for task in failures.tasks(inputs) if task.key == inputs.everything]
    assert len(everything.call.args[2]) == 12
