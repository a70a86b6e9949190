"""Expectations of this project: built-in ones with their arguments filled in, which is how GX makes custom ones."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween  # type: ignore[attr-defined]


class ExpectArraysToBeFinite(ExpectColumnValuesToBeBetween):
    """Expect the arrays of a value to hold finite numbers only; its modality counts the others as `n_not_finite`."""

    column: str = "n_not_finite"
    max_value: float = 0
    description: str = "Every number in the arrays is there and finite."


class ExpectMeasuresToBeKnown(ExpectColumnValuesToBeBetween):
    """Expect all measures of a value to be there: a missing one passes every other expectation."""

    column: str = "n_unmeasured"
    max_value: float = 0
    description: str = "Every measure that is not optional could be computed."
