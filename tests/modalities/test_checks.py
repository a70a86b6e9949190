from __future__ import annotations

import os

import numpy as np
import polars as pl

from matbind.modalities.checks import Check, Outcome, run_checks, worst_first

BETWEEN = Check("between", "a", "it is {value}", minimum=0.0, maximum=1.0)
OPTIONAL = Check("at_most", "b", "it is {value}", maximum=2.0, optional=True)


def outcomes(**columns) -> dict[str, Outcome]:
    frame = pl.DataFrame(columns).with_row_index("row", offset=10)
    return {outcome.check.name: outcome for outcome in run_checks(frame, (BETWEEN, OPTIONAL), suite="test")}


def test_failing_rows_and_values_are_listed():
    results = outcomes(a=[0.5, 2.0, -1.0], b=[1.0, None, 3.0])
    assert (results["between"].rows, results["between"].values, results["between"].n_checked) == (
        (11, 12),
        (2.0, -1.0),
        3,
    )
    assert (results["at_most"].rows, results["at_most"].n_checked) == ((12,), 2)
    assert results["between"].reasons() == ["it is 2", "it is -1"]


def test_a_needed_measure_that_is_missing_nan_or_infinite_does_not_pass():
    results = outcomes(a=[None, np.nan, np.inf, 0.5], b=[1.0, 1.0, 1.0, 1.0])
    assert results["measured"].rows == (10, 11, 12)


def test_an_optional_measure_may_be_missing():
    assert outcomes(a=[0.5], b=[None])["measured"].rows == ()


def test_an_empty_table_fails_nothing():
    frame = pl.DataFrame(schema={"row": pl.UInt32, "a": pl.Float64})
    assert [(o.check.name, o.n_checked, o.rows) for o in run_checks(frame, (BETWEEN,), suite="test")] == [
        ("between", 0, ()),
        ("measured", 0, ()),
    ]


def test_analytics_are_off():
    outcomes(a=[0.5], b=[1.0])
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_the_farthest_outside_comes_first():
    assert worst_first(Outcome(BETWEEN, 4, (0, 1, 2), (1.5, -9.0, 3.0))) == [1, 2, 0]
