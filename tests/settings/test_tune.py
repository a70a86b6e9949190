from __future__ import annotations

import pytest
from pydantic import ValidationError

from matbind.settings.tune import Parameter, TuneSettings
from tests.training.tuning.tuning import make_tune


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 1}, "expected low and high, or choices"),
        ({"start": 1, "low": 1}, "expected low and high, or choices"),
        ({"start": 1, "low": 2, "high": 1}, "expected low below high"),
        ({"start": 1, "low": 0.0, "high": 1.0, "log": True}, "expected a number above 0"),
        ({"start": 64, "choices": []}, "expected one or more that differ"),
        ({"start": 64, "choices": [64, 64]}, "expected one or more that differ"),
        ({"start": 64, "choices": [64, 128], "low": 1}, "choices and a range"),
        ({"start": 1, "low": 1, "high": 2, "step": 1}, "not permitted"),
        ({"low": 1, "high": 2}, "start\n  Field required"),
        ({"start": 3, "low": 1, "high": 2}, "start is 3, expected a value of the space: 1 to 2"),
        ({"start": "a", "low": 1, "high": 2}, "start is 'a', expected a value of the space"),
        ({"start": 32, "choices": [64, 128]}, "start is 32, expected a value of the space: 64, 128"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Parameter(**values)


def test_what_a_parameter_holds():
    assert Parameter(start=1, low=1, high=2).ends() == [1, 2]
    assert [Parameter(start=1, low=1, high=2).holds(value) for value in (1, 2.5, True, "1")] == [
        True,
        False,
        False,
        False,
    ]
    assert [
        Parameter(start="float32", choices=["float32", "bfloat16"]).holds(value) for value in ("float32", "float16")
    ] == [
        True,
        False,
    ]


def test_an_empty_space_is_refused():
    with pytest.raises(ValidationError, match="space"):
        make_tune(space={})


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="sampler"):
        TuneSettings(**{**make_tune().model_dump(), "sampler": "tpe"})
