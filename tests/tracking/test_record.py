from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from matbind.base.files import write_json
from matbind.modalities.combinations import parse_combination
from matbind.tracking.record import (
    combination_tags,
    compared_settings,
    curve_point,
    describe_ablation,
    describe_combination,
    flatten_metrics,
    pair_rows,
    parted,
    result_digest,
    stored_settings,
    summarise,
)

EVALUATION: dict[str, Any] = {
    "combination": "crystal+dos+text",
    "run_id": "abc",
    "pairs": {
        "dos->crystal": {"kind": "aligned", "recall_at_1": 0.25, "recall_at_5": 0.5, "n": 40},
        "crystal->text": {"kind": "aligned", "recall_at_1": 0.75, "recall_at_5": 1.0, "n": 40},
        "text->dos": {"kind": "emergent", "recall_at_1": 0.125, "recall_at_5": 0.25, "n": 40},
    },
    "best_epoch": 8,
    "seconds": 61.5,
    "n_parameters": {"crystal": 1000, "crystal.projection": 10},
}


def test_means_are_taken_over_the_pairs_of_each_kind() -> None:
    assert summarise(EVALUATION) == {
        "recall_at_1.aligned_mean": 0.5,
        "recall_at_5.aligned_mean": 0.75,
        "recall_at_1.emergent_mean": 0.125,
        "recall_at_5.emergent_mean": 0.25,
    }


def test_a_failed_combination_has_no_means() -> None:
    assert summarise({"combination": "dos", "error": "it failed"}) == {}


def test_metrics_are_named_by_measure_and_pair() -> None:
    flat = flatten_metrics(EVALUATION)

    assert flat["recall_at_1.text_to_dos"] == 0.125
    assert flat["retrieval/n.dos_to_crystal"] == 40.0
    assert flat["recall_at_1.aligned_mean"] == 0.5
    assert flat["training/seconds"] == 61.5


@pytest.mark.parametrize(("kind", "figure"), [("aligned", 0.5), ("view", 1.0)])
def test_one_figure_is_there_for_every_combination(kind: str, figure: float) -> None:
    view = {"pairs": {"dos->dos": {"kind": "view", "recall_at_1": 1.0, "recall_at_5": 1.0}}}

    assert flatten_metrics(EVALUATION if kind == "aligned" else view)["recall_at_1.with_hub"] == figure


def test_names_are_made_of_what_mlflow_accepts() -> None:
    names = [*flatten_metrics(EVALUATION), *curve_point({"loss": 1.0, "validation_recall_at_1.dos->crystal": 0.5})]

    assert [name for name in names if not re.fullmatch(r"[\w./: -]+", name)] == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_apart(value: float) -> None:
    assert parted({"loss": value, "mrr": 0.5}) == ({"mrr": 0.5}, ["loss"])


def test_epoch_and_time_are_the_axes_of_a_curve_not_points_of_it() -> None:
    assert curve_point({"epoch": 2.0, "seconds": 9.0, "loss.dos": 3.5}) == {"training/loss.dos": 3.5}


def test_the_digest_does_not_depend_on_the_run_that_made_the_file() -> None:
    assert result_digest(EVALUATION) == result_digest(EVALUATION | {"run_id": None})


def test_the_digest_depends_on_the_figures() -> None:
    assert result_digest(EVALUATION) != result_digest(EVALUATION | {"seconds": 61.6})


def test_tags_tell_hub_and_spokes() -> None:
    assert combination_tags(parse_combination("dos+pxrd+text")) == {
        "combination": "dos+pxrd+text",
        "hub": "text",
        "spokes": "dos,pxrd",
        "n_modalities": "3",
    }


def test_stored_settings_are_those_of_the_file(tmp_path: Path) -> None:
    write_json(tmp_path / "settings.json", {"seed": 1, "model": {"temperature": 0.07}})

    assert stored_settings(tmp_path) == {"seed": 1, "model": {"temperature": 0.07}}


def _settings() -> dict[str, Any]:
    blocks = {"features": {"n_bins": 4}, "transform": {"noise": 0.1}, "encoder": {"width": 8}}
    sections = {"validate": {"text": {"min_characters": 60}}, "tune": {"trials": 9}, "analysis": {"permutations": 99}}
    return {"seed": 1, "model": {"temperature": 0.07}, "modalities": {"dos": blocks, "text": blocks}, **sections}


@pytest.mark.parametrize(
    ("kind", "compared"),
    [
        (
            "combination",
            {"seed", "model.temperature", "modalities.dos.transform.noise", "modalities.dos.encoder.width"},
        ),
        ("tuning", {"seed", "model.temperature", "tune.trials"}),
        ("validation", {"validate.text.min_characters"}),
    ],
)
def test_parameters_are_the_settings_that_one_compares(kind: str, compared: set[str]) -> None:
    assert set(compared_settings(_settings(), kind, ["dos"])) == compared


def test_settings_that_were_not_kept_are_not_compared() -> None:
    assert compared_settings({}, "combination", ["dos"]) == {}


def test_a_model_without_settings_has_none(tmp_path: Path) -> None:
    assert stored_settings(tmp_path) == {}


def test_a_combination_is_described_by_a_table_of_its_pairs() -> None:
    evaluation = EVALUATION | {"hub": "crystal"}
    evaluation["pairs"] = {
        "text->dos": EVALUATION["pairs"]["text->dos"] | {"recall_at_1_ci95": [0.05, 0.25], "median_rank": 4.0}
    }

    lines = describe_combination(evaluation).splitlines()

    assert lines[0] == "**crystal+dos+text**, hub crystal: retrieval on the test split."
    assert lines[4] == "| text → dos | emergent | 40 | 0.125 | 0.050 to 0.250 | 0.250 | 4.0 |  |"
    assert lines[-1] == "Trained for 62 s; best epoch 8."


def test_an_ablation_is_described_by_its_combinations_the_smallest_first() -> None:
    children = {"crystal+dos": {"recall_at_1.aligned_mean": 0.5}, "text": {"recall_at_1.view_mean": 1.0}}

    assert describe_ablation(children).splitlines()[2:] == [
        "| combination | aligned | emergent | view |",
        "| --- | --- | --- | --- |",
        "| text |  |  | 1.000 |",
        "| crystal+dos | 0.500 |  |  |",
    ]


def test_the_pairs_of_a_combination_are_rows_of_its_metrics() -> None:
    first, *others = pair_rows(parse_combination("crystal+dos+text"), "0", flatten_metrics(EVALUATION))

    assert (first["query"], first["target"], first["kind"], first["recall_at_1"]) == ("crystal", "dos", "aligned", None)
    assert [row["n"] for row in others if (row["query"], row["target"]) == ("text", "dos")] == [40]
    assert len(others) == 5
