from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis import helping, probes
from matbind.analysis.measures.probe import ProbeResult
from tests.analysis.world import inputs_of, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


def result(scores: np.ndarray, reason: str | None = None) -> ProbeResult:
    return ProbeResult("accuracy", 0, 0, 0, scores, reason)


def planted(inputs) -> dict:
    """The crystal system is read off every combination with crystal, and off no other."""
    n = len(inputs.test)
    nothing = {
        target.name: result(np.full((1, n), np.nan), "no values")
        for target in probes.targets(inputs)
        if target.name != "crystal_system"
    }
    return {
        name: {
            "fused": {
                "crystal_system": result(np.full((1, n), float("crystal" in combination.modalities))),
                **nothing,
            }
        }
        for name, combination in inputs.combinations.items()
    }


def content_of(inputs) -> dict:
    retrieval = {name: helping.hits(inputs.request, name) for name in inputs.combinations}
    return helping.assemble(inputs, retrieval, planted(inputs))


@pytest.fixture(scope="module")
def content(inputs):
    return content_of(inputs)


def test_shapley_values_of_retrieval_add_up(content):
    shares = content["shapley"]["retrieval"]
    total = sum(share["value"] for share in shares["values"].values())
    assert total == pytest.approx(shares["everything"] - shares["none"])


def test_a_modality_that_alone_tells_has_all_of_the_probes_worth(content):
    shares = content["shapley"]["probes"]["crystal_system"]
    values = {name: share["value"] for name, share in shares["values"].items()}
    # Any combination with crystal is right always, any without never; with no modality the majority is right at times.
    assert values["dos"] == pytest.approx(values["text"])
    assert values["dos"] == pytest.approx(-shares["none"] / 4)
    assert values["crystal"] == pytest.approx(1 - shares["none"] / 4)


def test_what_a_probe_lacks_is_said_in_its_place(content):
    assert content["shapley"]["probes"]["metal"] == {"unavailable": "no values"}


def test_the_hub_against_the_four_combinations_without_it(content):
    before = {row["before"] for row in content["worth_of_hub"]}
    assert before == {"dos+pxrd", "dos+text", "pxrd+text", "dos+pxrd+text"}
    row = next(r for r in content["worth_of_hub"] if r["before"] == "dos+text" and r["question"] == "dos->text")
    assert (row["after"], row["kind_before"], row["kind_after"]) == ("crystal+dos+text", "aligned", "emergent")


def test_adding_crystal_answers_the_probe(content):
    assert content["summary"]["crystal"]["probes"] == {
        "n": 7,
        "mean_change": 1.0,
        "better": 7,
        "worse": 0,
        "unclear": 0,
    }
    assert content["summary"]["text"]["probes"]["mean_change"] == 0.0


def test_the_excerpt_holds_numbers_only(content):
    numbers = helping.excerpt(content)
    assert set(numbers) == {"retrieval", "probe crystal_system"}
    share = numbers["retrieval"]["text"]
    assert share["low"] <= share["value"] <= share["high"]


def test_bounds_where_combinations_are_missing(tmp_path):
    write_models(tmp_path, only=["crystal", "dos", "pxrd", "text", "crystal+dos", "crystal+text"])
    content = content_of(inputs_of(tmp_path))
    assert "crystal+pxrd" in content["missing"]
    bounds = content["shapley"]["retrieval"]["bounds"]
    assert all(low < high for low, high in bounds.values())
    assert "values" not in content["shapley"]["retrieval"]


def test_without_any_modality_the_majority_is_guessed():
    split = np.array(["train"] * 4 + ["test"] * 3)
    label = helping.Target("metal", "class", [True, True, False, None, True, False, False])
    assert helping._without_any(label, split, np.array([4, 5, 6])) == pytest.approx(1 / 3)
    number = helping.Target("band_gap", "number", [1.0, 2.0, 9.0, None, 2.0, 4.0, 6.0])
    assert helping._without_any(number, split, np.array([4, 5, 6])) == pytest.approx(-2.0)
