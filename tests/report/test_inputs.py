from __future__ import annotations

import json
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.report.inputs import available, reason, reasons
from tests.report import examples


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    inputs = examples.read(examples.write(tmp_path, probes=None))
    assert reason(inputs.answers["probes"]) == "probes.json is not there, the analyse stage did not write it"


def test_without_a_comparison_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"comparison\.json: the file does not exist"):
        examples.read(tmp_path)


def test_tuning_and_registry_may_be_missing(tmp_path: Path) -> None:
    inputs = examples.read(examples.write(tmp_path))
    assert (inputs.tuning, inputs.registry) == (None, None)


def test_a_failed_combination_is_not_trained(tmp_path: Path) -> None:
    examples.write(tmp_path)
    content = examples.comparison(["crystal", "crystal+dos"], failed=["crystal+dos+pxrd+text"])
    (tmp_path / "metrics" / "comparison.json").write_text(json.dumps(content))
    inputs = examples.read(tmp_path)
    assert (sorted(inputs.trained()), inputs.largest()) == (["crystal", "crystal+dos"], "crystal+dos")


def test_reasons_are_told_once() -> None:
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
