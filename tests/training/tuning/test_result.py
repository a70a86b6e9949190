from __future__ import annotations

import pytest
import yaml

from matbind.training.tuning.result import comments, figures, verdict
from tests.training.tuning.tuning import made_up_result


@pytest.fixture(scope="module")
def result():
    return made_up_result()[1]


def test_a_better_trial_is_named_with_its_values(result):
    assert verdict(result).startswith(f"Trial {result['best']} is better than the start values: model.temperature = ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chosen": 0}, "is not better than chance"),
        ({"chosen": 0, "best": 0}, "no trial was better"),
        ({"gain": None}, "Trial 0, the start, diverged"),
        ({"enabled": False}, "switched off"),
    ],
)
def test_the_other_verdicts(result, changes, expected):
    assert expected in verdict(result | changes)


def test_comments_say_where_the_values_come_from(result):
    lines = comments(result)

    assert "crystal+text, 8 trials of 3 epochs, seed 0, study abc" in lines
    assert "data 1234.dir" in lines
    assert not [line for line in lines if "\n" in line]
    assert yaml.safe_load("\n".join(f"# {line}" for line in lines)) is None


def test_figures_are_numbers_by_name(result):
    numbers = figures(result)

    assert numbers["chosen_trial"] == result["chosen"]
    assert numbers["validation_recall_at_1.start"] == result["start"]["validation_recall_at_1"]
    assert numbers["gain.expected"] == 0.08
    assert all(isinstance(value, int | float) for value in numbers.values())
