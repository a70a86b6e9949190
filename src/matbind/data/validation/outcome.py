"""What came of one expectation, as quarantine and page need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from matbind.data.validation.suites import Expectation

CRITICAL = "critical"
SHOWN_CHARACTERS = 60  # of a text that fails


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one expectation.

    Attributes:
        name: of the expectation, shown to users; its type if the suite gives no other.
        severity: critical, warning or info, as Great Expectations has them.
        met: whether the expectation is met.
        measure: column of what was found; None where no single one is looked at.
        minimum, maximum: smallest and largest allowed value; None for no bound.
        n_checked: rows that hold a value.
        rows: the `row` of each failing one, ascending; none for an expectation about the table as a whole.
        values: what was found there.
        reasons: a sentence for each of them; for a table as a whole one sentence, if it fails.
    """

    name: str
    severity: str
    met: bool
    measure: str | None
    minimum: float | None
    maximum: float | None
    n_checked: int
    rows: tuple[int, ...]
    values: tuple[Any, ...]
    reasons: tuple[str, ...]

    @property
    def refuses(self) -> bool:
        """Whether its failing rows may not stay, or without any the table as a whole."""
        return not self.met and self.severity == CRITICAL


def outcome_of(expectation: Expectation, result: Mapping[str, Any], rows: pl.DataFrame) -> Outcome:
    """Make an outcome of a result of Great Expectations.

    Args:
        expectation: the one that was judged.
        result: `success`, `result` and `expectation_config` of it; empty for a table without rows.
        rows: that were judged.
    """
    judge, meta = expectation.judge, expectation.meta
    measure = meta.get("measure", getattr(judge, "column", None))
    kwargs = result["expectation_config"]["kwargs"] if result else {}
    details = result["result"] if result else {"element_count": 0}
    of_rows = "element_count" in details
    bounded = of_rows and measure is not None and rows[measure].dtype.is_numeric()
    bounds = {
        key: kwargs.get(key, getattr(judge, key, None)) if bounded else None for key in ("min_value", "max_value")
    }
    unexpected: Any = details.get("unexpected_index_list") or ()
    failing = pl.Series("row", [entry["row"] for entry in unexpected], rows["row"].dtype).sort()
    if measure is None:
        values: list[Any] = [None] * len(failing)
    else:
        values = rows.filter(pl.col("row").is_in(failing.implode())).sort("row")[measure].to_list()
    met = bool(result["success"]) if result else True
    if of_rows:
        template = meta.get("reason", f"{measure} is {{value}}")
        reasons = [template.replace("{value}", _shown(value)) for value in values]
        n_checked = details["element_count"] - details.get("missing_count", 0)
    else:
        reasons = [] if met else [f"found {details.get('observed_value')}"]
        n_checked = len(rows)
    return Outcome(
        name=meta.get("name", judge.expectation_type),
        severity=str(judge.severity.value),
        met=met,
        measure=measure,
        minimum=_number(bounds["min_value"]),
        maximum=_number(bounds["max_value"]),
        n_checked=int(n_checked),
        rows=tuple(failing),
        values=tuple(values),
        reasons=tuple(reasons),
    )


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)[:SHOWN_CHARACTERS]


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def worst_first(outcome: Outcome) -> list[int]:
    """Return the positions of the failing rows, those farthest outside the bounds first."""
    if outcome.minimum is None and outcome.maximum is None:
        return list(range(len(outcome.rows)))
    values = np.asarray(outcome.values, dtype=float)
    below = outcome.minimum - values if outcome.minimum is not None else np.full(len(values), -np.inf)
    above = values - outcome.maximum if outcome.maximum is not None else np.full(len(values), -np.inf)
    return [int(i) for i in np.argsort(-np.maximum(below, above), kind="stable")]
