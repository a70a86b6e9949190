"""A project of Great Expectations: for every table a suite, a validation definition and a checkpoint, in files.

Great Expectations judges one row a value: its measures, and the columns of its table.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from polars import selectors as cs

from matbind.base.errors import UserError
from matbind.data.validation.outcome import Outcome, outcome_of
from matbind.data.validation.suites import Expectation, check_columns, check_parameters

CONFIG = "great_expectations.yml"
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the time of every run: what a repeated run writes is the same."""
RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["row"],
    "return_unexpected_index_query": False,
}
NOT_IN_SUMMARY = ("unexpected_list", "unexpected_index_list")
"""What a complete result has and one of the format SUMMARY has not: all failing rows, which are in the quarantine."""
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Checkpoints:
    """Checkpoints in a directory, which is made anew."""

    def __init__(self, directory: Path, *, data_docs: bool) -> None:
        import great_expectations as gx

        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        shutil.copyfile(str(files(__package__) / "assets" / CONFIG), directory / CONFIG)
        self._directory = directory
        self._context = gx.get_context(mode="file", context_root_dir=directory)
        self._source = self._context.data_sources.add_pandas("records")
        action: Any = gx.checkpoint.UpdateDataDocsAction  # type: ignore[attr-defined]  # exported, but not by name
        self._actions: list[Any] = [action(name="data_docs")] if data_docs else []

    def run(
        self, name: str, suite: Sequence[Expectation], rows: pl.DataFrame, parameters: Mapping[str, Any]
    ) -> list[Outcome]:
        """Judge the rows of a table.

        Args:
            name: of the modality.
            suite: what is expected of it.
            rows: as :func:`judged_rows` makes them.
            parameters: values for what the suite names as `$PARAMETER`.

        Returns:
            One outcome an expectation, in their order.

        Raises:
            UserError: if an expectation cannot be judged.
        """
        import great_expectations as gx
        from great_expectations.core.run_identifier import RunIdentifier

        check_parameters(suite, parameters)
        if rows.is_empty():
            return [outcome_of(expectation, {}, rows) for expectation in suite]
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        stored = gx.ExpectationSuite(name=name, expectations=[expectation.judge for expectation in suite])
        definition = gx.ValidationDefinition(name=name, data=batch, suite=self._context.suites.add(stored))
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[self._context.validation_definitions.add(definition)],
            actions=self._actions,
            result_format=RESULT_FORMAT,
        )
        run = self._context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": rows.to_pandas()},
            expectation_parameters=dict(parameters),
            run_id=RunIdentifier(run_name="validate", run_time=NO_TIME),
        )
        (validated,) = run.run_results.values()
        configured: list[Any] = validated.results
        results = {result.expectation_config.id: result for result in configured}
        return [_outcome(expectation, results[expectation.judge.id], rows) for expectation in suite]

    def settle(self) -> None:
        """Leave in the files what a repeated run writes too: summaries of results, and numbers as ids."""
        numbers: dict[str, str] = {}
        for path in sorted(self._directory.rglob("*")):
            if path.is_file() and "data_docs" not in path.parts:
                if "validations" in path.parts and path.suffix == ".json":
                    path.write_text(json.dumps(_summary(json.loads(path.read_text())), indent=1) + "\n")
                path.write_text(_ID.sub(lambda drawn: _numbered(drawn[0], numbers), path.read_text()))


def judged_rows(summary: pl.DataFrame, table: pl.DataFrame, suite: Sequence[Expectation]) -> pl.DataFrame:
    """Put the measures of values beside the columns of their table.

    Args:
        summary: measures, one row a value.
        table: the same rows as :func:`flat` leaves them.
        suite: what is expected of them.

    Returns:
        The columns that the suite names and those of the table, `row`, and `n_unmeasured`: how many measures that are
        not optional hold no finite number.

    Raises:
        UserError: if the suite names a column that is not there.
    """
    rows = table.with_columns(summary.with_columns(cs.float().fill_nan(None)))
    named = {name for expectation in suite for name in expectation.columns}
    needed = sorted(
        {
            name
            for expectation in suite
            if not (expectation.of_project or expectation.meta.get("optional"))
            for name in expectation.columns
            if name in summary.columns and summary.schema[name].is_float()
        }
    )
    missing = (~pl.col(name).is_finite().fill_null(value=False) for name in needed)
    rows = rows.with_columns(pl.sum_horizontal(pl.lit(0), *missing).cast(pl.Float64).alias("n_unmeasured"))
    check_columns(suite, rows.columns)
    kept = named | set(table.columns) | {e.meta["measure"] for e in suite if "measure" in e.meta}
    return rows.select(name for name in rows.columns if name in kept)


def flat(batch: pl.DataFrame, suite: Sequence[Expectation]) -> pl.DataFrame:
    """Leave of a table what Great Expectations can judge: lists as their lengths, columns nobody names as nulls."""
    named = {"row", *(name for expectation in suite for name in expectation.columns)}
    lengths = [pl.col(name).list.len() for name, dtype in batch.schema.items() if dtype == pl.List and name in named]
    return batch.with_columns(*lengths, *(pl.lit(None).alias(name) for name in batch.columns if name not in named))


def _outcome(expectation: Expectation, result: Any, rows: pl.DataFrame) -> Outcome:
    info = result.exception_info
    errors = [info] if "raised_exception" in info else [*info.values()]  # one a measure of Great Expectations'
    for error in errors:
        if error["raised_exception"]:
            raise UserError(f"{expectation.place}: {str(error['exception_message']).splitlines()[0]}")
    return outcome_of(expectation, result, rows)


def _summary(validated: dict[str, Any]) -> dict[str, Any]:
    """Return a result without its failing rows and the time when its batch was loaded."""
    del validated["meta"]["batch_markers"]["ge_load_time"]
    for result in validated["results"]:
        for key in NOT_IN_SUMMARY:
            result["result"].pop(key, None)
    return validated


def _numbered(drawn: str, numbers: dict[str, str]) -> str:
    return numbers.setdefault(drawn, str(UUID(int=len(numbers), version=4)))
