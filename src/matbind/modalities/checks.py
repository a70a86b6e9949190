"""Checks on summary rows, run as built-in expectations of Great Expectations on a pandas frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import polars as pl

UNMEASURED = "measured"
"""Name of the check, part of every suite, that a needed column holds a finite number in every row."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation about one column of the summary rows."""

    name: str  # what is expected, in a word or two joined by underscores
    column: str  # of the summary frame; numbers
    reason: str  # what is wrong with a row that fails, a sentence with `{value}` for the number in the column
    _: KW_ONLY
    minimum: float | None = None  # smallest allowed value, None for no bound
    maximum: float | None = None  # largest allowed value, None for no bound
    optional: bool = False  # whether a missing value passes, because not every material has what is compared


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check."""

    check: Check
    n_checked: int  # rows that hold a value
    rows: tuple[int, ...]  # the `row` of each failing one, ascending
    values: tuple[float, ...]  # of the failing rows

    def reasons(self) -> list[str]:
        """Return the sentence of each failing row."""
        return [self.check.reason.format(value=f"{value:.6g}") for value in self.values]


def run_checks(summary: pl.DataFrame, checks: Sequence[Check], *, suite: str) -> list[Outcome]:
    """Check summary rows with Great Expectations, in memory and without its analytics.

    Great Expectations passes over missing values, so a last check, `measured`, counts in every row the needed columns
    that hold no finite number and expects none.

    Args:
        summary: one row a value, with a unique integer column `row` and the columns of the checks.
        checks: what is expected; several may name one column.
        suite: name of the suite.

    Returns:
        One outcome a check in their order, then `measured`.
    """
    needed = sorted({check.column for check in checks if not check.optional})
    unmeasured = Check(UNMEASURED, "n_unmeasured", "measures that could not be computed: {value}", maximum=0)
    columns = sorted({check.column for check in checks})
    frame = summary.select(
        "row",
        *(pl.col(column).cast(pl.Float64).fill_nan(None) for column in columns),
        pl.sum_horizontal(
            *(~pl.col(column).cast(pl.Float64).is_finite().fill_null(value=False) for column in needed)
        ).alias(unmeasured.column),
    )
    everything = (*checks, unmeasured)
    if frame.is_empty():
        return [Outcome(check, 0, (), ()) for check in everything]
    results = _validate(frame, everything, suite)
    return [_outcome(check, result) for check, result in zip(everything, results, strict=True)]


def _validate(frame: pl.DataFrame, checks: Sequence[Check], suite: str) -> list[Any]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("summaries").add_dataframe_asset(suite)
    pandas_frame = frame.to_pandas()
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": pandas_frame})
    expectations = [
        ExpectColumnValuesToBeBetween(
            column=check.column, min_value=check.minimum, max_value=check.maximum, meta={"position": position}
        )
        for position, check in enumerate(checks)
    ]
    validated = batch.validate(
        gx.ExpectationSuite(name=suite, expectations=expectations),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["row"],
            "return_unexpected_index_query": False,
        },
    )
    ordered: list[Any] = sorted(validated.results, key=lambda result: int(result.expectation_config.meta["position"]))
    for result in ordered:
        if result.exception_info.get("raised_exception"):
            raise RuntimeError(f"{suite}: {result.exception_info.get('exception_message')}")
    return [result.result for result in ordered]


def _outcome(check: Check, result: dict[str, Any]) -> Outcome:
    failing = sorted(
        (int(entry["row"]), float(entry[check.column])) for entry in result.get("unexpected_index_list") or ()
    )
    n_checked = int(result["element_count"]) - int(result["missing_count"])
    return Outcome(check, n_checked, tuple(row for row, _ in failing), tuple(value for _, value in failing))


def worst_first(outcome: Outcome) -> list[int]:
    """Return the positions of the failing rows, those farthest outside the bounds first."""
    values = np.asarray(outcome.values, dtype=float)
    below = outcome.check.minimum - values if outcome.check.minimum is not None else np.full(len(values), -np.inf)
    above = values - outcome.check.maximum if outcome.check.maximum is not None else np.full(len(values), -np.inf)
    return [int(i) for i in np.argsort(-np.maximum(below, above), kind="stable")]
