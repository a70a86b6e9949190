from __future__ import annotations

import json

import numpy as np
import pytest

from matbind.analysis.task import UnavailableError, perform, plain, write_result


def test_what_json_does_not_know_is_made_plain():
    given = {"b": np.array([1.0, np.nan]), "a": (np.int64(3), np.bool_(True), np.float32(0.5)), "c": {1: np.inf}}
    assert plain(given) == {"b": [1.0, None], "a": [3, True, 0.5], "c": {"1": None}}


def test_digits_beyond_the_ninth_are_rounded():
    assert plain(1 / 3) == 0.333333333


def test_keys_are_sorted(tmp_path):
    write_result(tmp_path / "a.json", {"b": 1, "a": 2})
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["a", "b"]


def refuse():
    raise UnavailableError("one material")


def fail():
    raise ValueError("a mistake in the code")


def test_what_the_data_cannot_answer_is_said_in_its_place():
    assert perform(refuse).result == {"unavailable": "one material"}


def test_a_mistake_in_the_code_is_not_swallowed():
    with pytest.raises(ValueError, match="a mistake in the code"):
        perform(fail)
