from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import failures
from matbind.analysis.failures import best_models, failures_of
from tests.analysis.world import inputs, noisy, write_models
from tests.factories import needs_sample

pytestmark = needs_sample
PAIR = ("pxrd->crystal",)


@pytest.fixture(scope="module")
def confused(tmp_path_factory):
    home = tmp_path_factory.mktemp("failures")
    write_models(home, make=noisy(2.0), only=["crystal+pxrd"])
    own = inputs(home)
    return own, failures_of(own.request, "crystal+pxrd", PAIR)["pxrd->crystal"]


def test_failures_and_recall_agree_with_the_evaluation(confused):
    own, told = confused
    evaluated = own.runs["crystal+pxrd"]["pairs"]["pxrd->crystal"]
    assert told["n"] == evaluated["n"]
    assert told["recall_at_1"] == pytest.approx(evaluated["recall_at_1"])
    assert sum(told["relations"].values()) == told["n_failed"]


def test_the_worst_have_the_largest_margin(confused):
    _, told = confused
    margins = [row["margin"] for row in told["worst"]]
    assert len(margins) == 3
    assert margins == sorted(margins, reverse=True)
    assert margins[0] == pytest.approx(told["worst"][0]["found_similarity"] - told["worst"][0]["similarity"])


def test_recall_by_label_is_not_below_that_by_material(confused):
    _, told = confused
    for label in ("same_formula", "same_prototype"):
        assert told[f"recall_at_1_{label}"] >= told["recall_at_1"]
        assert told[f"chance_{label}"] >= 1 / told["n"] - 1e-12


def test_patterns_of_asked_and_found_are_kept_to_be_drawn(confused):
    own, told = confused
    content = failures.assemble(own, {"crystal+pxrd": {"pxrd->crystal": told, "crystal->pxrd": {"worst": []}}})
    patterns = content["patterns"]
    shown = {row[column] for row in told["worst"] for column in ("material_id", "found_id")}
    assert set(patterns["intensity"]) == shown
    angles = np.array(patterns["two_theta_deg"])
    assert 100 < len(angles) <= 200
    assert (angles[0], angles[-1]) == (pytest.approx(5, abs=0.5), pytest.approx(90, abs=0.5))
    assert all(max(pattern) == 1.0 and len(pattern) == len(angles) for pattern in patterns["intensity"].values())


def test_the_best_model_of_every_pair(tmp_path):
    write_models(tmp_path, make=noisy(2.0), only=["crystal+dos"])
    write_models(tmp_path, make=noisy(0.0), only=["crystal+dos+pxrd", "text"])
    best = best_models(inputs(tmp_path))
    assert best["dos->crystal"] == "crystal+dos+pxrd"
    assert "text->text" not in best


def test_a_pair_that_was_not_evaluated_says_so(found):
    told = failures_of(found.request, "crystal+dos", ("dos->text",))
    assert told == {"dos->text": {"unavailable": "it was not evaluated"}}


def test_the_combination_of_all_is_asked_everything(found):
    [everything] = [task for task in failures.tasks(found) if task.key == found.everything]
    assert len(everything.call.args[2]) == 12
