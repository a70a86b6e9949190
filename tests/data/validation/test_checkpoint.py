"""Checkpoints of Great Expectations: what becomes of the rows that fail, and of the files they leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.validation.checkpoint import Checkpoints, flat, judged_rows
from matbind.data.validation.outcome import Outcome, worst_first
from matbind.data.validation.suites import read_suite

BETWEEN = "expect_column_values_to_be_between"
A = {"type": BETWEEN, "kwargs": {"column": "a", "min_value": 0, "max_value": {"$PARAMETER": "1 + tolerance"}}}
MEASURED = {"type": "expect_measures_to_be_known", "meta": {"name": "measured"}}
NAMED_A = A | {"meta": {"name": "between", "reason": "it is {value}"}}
TABLE = pl.DataFrame({"row": [0, 1, 2], "material_id": ["x", "y", None], "energies": [[1.0], [1.0, 2.0], None]})


def run(directory: Path, *expectations, table=TABLE, of_project=False, **columns) -> list[Outcome]:
    path = directory / "suite.json"
    path.write_text(json.dumps({"expectations": expectations}))
    suite = read_suite(path, of_project=of_project)
    summary = table.select("row").with_columns(pl.Series(name, values, pl.Float64) for name, values in columns.items())
    checkpoints = Checkpoints(directory / "gx", data_docs=False)
    outcomes = checkpoints.run("t", suite, judged_rows(summary, flat(table, suite), suite), {"tolerance": 0.5})
    checkpoints.settle()
    return outcomes


def test_failing_rows_values_and_reasons_are_listed(tmp_path):
    (outcome,) = run(tmp_path, NAMED_A, a=[1.25, 2.0, -1.0])
    assert (outcome.name, outcome.rows, outcome.values, outcome.n_checked) == ("between", (1, 2), (2.0, -1.0), 3)
    assert outcome.reasons == ("it is 2", "it is -1")
    assert (outcome.minimum, outcome.maximum, outcome.met) == (0, 1.5, False)


def test_an_expectation_without_words_has_its_type_and_column(tmp_path):
    (outcome,) = run(tmp_path, A, a=[1.0, 2.0, 1.0])
    assert (outcome.name, outcome.reasons) == (BETWEEN, ("a is 2",))


def test_a_needed_measure_that_is_missing_nan_or_infinite_does_not_pass(tmp_path):
    *_, measured = run(tmp_path, A, MEASURED, a=[None, np.nan, np.inf])
    assert measured.rows == (0, 1, 2)


def test_an_optional_measure_may_be_missing(tmp_path):
    between, measured = run(tmp_path, A | {"meta": {"optional": True}}, MEASURED, a=[None, 0.5, 0.5])
    assert (between.n_checked, measured.met) == (2, True)


def test_a_measure_that_only_the_project_looks_at_may_be_missing(tmp_path):
    assert run(tmp_path, A, MEASURED, of_project=True, a=[None, 0.5, 0.5])[1].met


def test_arrays_that_are_not_finite_fail_an_expectation_of_our_own(tmp_path):
    (outcome,) = run(tmp_path, {"type": "expect_arrays_to_be_finite"}, n_not_finite=[0, 3, 0])
    assert (outcome.measure, outcome.rows, outcome.values) == ("n_not_finite", (1,), (3.0,))


def test_lists_are_judged_by_their_length(tmp_path):
    longest = {"type": BETWEEN, "kwargs": {"column": "energies", "max_value": 1}}
    (outcome,) = run(tmp_path, longest)
    assert (outcome.rows, outcome.values, outcome.n_checked) == ((1,), (2,), 2)


def test_a_pair_that_differs_fails_with_the_value_of_its_measure(tmp_path):
    pair = {
        "type": "expect_column_pair_values_to_be_equal",
        "kwargs": {"column_A": "a", "column_B": "b"},
        "meta": {"measure": "difference", "reason": "more by {value}"},
    }
    (outcome,) = run(tmp_path, pair, a=[1, 2, 3], b=[1, 2, 5], difference=[0, 0, -2])
    assert (outcome.rows, outcome.reasons) == ((2,), ("more by -2",))


def test_a_table_as_a_whole_fails_without_rows(tmp_path):
    mean = {
        "type": "expect_column_mean_to_be_between",
        "kwargs": {"column": "a", "max_value": 1},
        "severity": "warning",
    }
    (outcome,) = run(tmp_path, mean, a=[1, 2, 3])
    assert (outcome.met, outcome.refuses, outcome.rows, outcome.reasons) == (False, False, (), ("found 2.0",))


def test_columns_that_nobody_names_are_there_and_empty(tmp_path):
    columns = {
        "type": "expect_table_columns_to_match_set",
        "kwargs": {"column_set": ["row", "material_id", "energies"]},
    }
    (outcome,) = run(tmp_path, columns)
    assert outcome.met
    assert flat(TABLE, [])["energies"].null_count() == len(TABLE)


def test_an_empty_table_fails_nothing(tmp_path):
    assert [(o.met, o.n_checked) for o in run(tmp_path, A, MEASURED, table=TABLE.clear(), a=[])] == [(True, 0)] * 2


def test_an_expectation_that_cannot_be_judged_is_named_with_the_reason(tmp_path):
    broken = {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "material_id", "regex": "("}}
    with pytest.raises(
        UserError, match=r"suite.json: expectation 2 \(expect_column_values_to_match_regex\): missing \)"
    ):
        run(tmp_path, A, broken, a=[1, 2, 3])


def test_what_is_left_can_be_opened_and_tells_the_summary(tmp_path):
    import great_expectations as gx

    run(tmp_path, A, a=[1.0, 2.0, 1.0])

    context = gx.get_context(mode="file", project_root_dir=tmp_path)
    assert [expectation.column for expectation in context.suites.get("t").expectations] == ["a"]
    (definition,) = context.checkpoints.get("t").validation_definitions
    assert (definition.name, definition.suite.name, definition.asset.name) == ("t", "t", "t")
    (path,) = (tmp_path / "gx/uncommitted/validations").rglob("*.json")
    (result,) = json.loads(path.read_text())["results"]
    assert result["result"]["unexpected_count"] == 1
    assert "unexpected_list" not in result["result"]


def test_a_repeated_run_leaves_the_same_files_and_no_path_of_the_machine(tmp_path):
    left = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, A, a=[1.0, 2.0, 1.0])
        files = sorted(path for path in (tmp_path / name / "gx").rglob("*") if path.is_file())
        left.append({path.relative_to(tmp_path / name): path.read_text() for path in files})
    assert left[0] == left[1]
    assert not [path for path, text in left[0].items() if str(tmp_path) in text]


def test_the_farthest_outside_comes_first():
    values = (1.5, -9.0, 3.0)
    outcome = Outcome("between", "critical", False, "a", 0.0, 1.0, 4, (0, 1, 2), values, ("",) * 3)
    assert worst_first(outcome) == [1, 2, 0]
