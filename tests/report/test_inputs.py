from __future__ import annotations

import json
from pathlib import Path

from matbind.report.inputs import available, bounds, leaves, reason, reasons
from tests.report import examples


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    inputs = examples.read(examples.write(tmp_path, probes=None))
    assert reason(inputs.answers["probes"]) == "probes.json is not there, the analyse stage did not write it"


def test_a_failed_combination_is_not_trained(tmp_path: Path) -> None:
    examples.write(tmp_path)
    content = examples.comparison(["crystal", "crystal+dos"], failed=["crystal+dos+pxrd+text"])
    (tmp_path / "metrics" / "comparison.json").write_text(json.dumps(content))
    inputs = examples.read(tmp_path)
    assert (sorted(inputs.trained()), inputs.largest()) == (["crystal", "crystal+dos"], "crystal+dos")


def test_reasons_are_given_once() -> None:
    results = {"a": {"unavailable": "too few"}, "b": {"unavailable": "too few"}, "c": {"unavailable": "no text"}}
    assert reasons(results) == "too few; no text"


def test_what_is_unavailable_is_left_out() -> None:
    assert available({"a": {"unavailable": "too few"}, "b": {"n": 1}}) == {"b": {"n": 1}}
    assert available({"unavailable": "nothing"}) == {}


def test_combinations_come_small_ones_first(tmp_path: Path) -> None:
    answer = examples.geometry()
    answer["results"] = dict(sorted(answer["results"].items()))
    inputs = examples.read(examples.write(tmp_path, geometry=answer))
    assert list(inputs.answers["geometry"]["results"]) == list(examples.ALL)


def test_leaves_are_the_available_results_below_their_names() -> None:
    results = {"a": {"x": {"n": 1}, "y": {"unavailable": "too few"}}, "b": {"unavailable": "not trained"}}
    assert list(leaves(results, 2)) == [("a", "x", {"n": 1})]
    assert list(leaves({"unavailable": "nothing"}, 2)) == []


def test_an_interval_that_is_not_there_has_open_ends() -> None:
    assert bounds({"ci95": [0.1, 0.2]}) == {"low": 0.1, "high": 0.2}
    assert bounds({"gain_ci95": None}, "gain_ci95", of="gain_") == {"gain_low": None, "gain_high": None}
