from __future__ import annotations

import pytest
from pydantic import ValidationError

from matbind.settings.tune import Parameter, TuneSettings
from tests.training.tuning.tuning import make_tune


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected low and high, or choices"),
        ({"low": 1}, "expected low and high, or choices"),
        ({"low": 2, "high": 1}, "expected low below high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "expected a number above 0"),
        ({"choices": [64]}, "expected two or more that differ"),
        ({"choices": [64, 64]}, "expected two or more that differ"),
        ({"choices": [64, 128], "low": 1}, "choices and a range"),
        ({"low": 1, "high": 2, "step": 1}, "not permitted"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Parameter(**values)


def test_what_a_parameter_holds():
    assert Parameter(low=1, high=2).ends() == [1, 2]
    assert [Parameter(low=1, high=2).holds(value) for value in (1, 2.5, True, "1")] == [True, False, False, False]
    assert [Parameter(choices=["float32", "bfloat16"]).holds(value) for value in ("float32", "float16")] == [
        True,
        False,
    ]


def test_an_empty_space_is_refused():
    with pytest.raises(ValidationError, match="space"):
        make_tune(space={})


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="sampler"):
        TuneSettings(**{**make_tune().model_dump(), "sampler": "tpe"})
