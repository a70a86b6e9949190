"""Suites of expectations as Great Expectations keeps them: JSON files that anybody can read and edit.

A table is judged by three of them, joined: what holds for every table (`assets/expectations.json` here), what its
modality expects (`expectations.json` in its folder), and what the project adds (`expectations/<modality>.json`).

Further keys of `meta` are known: `name`, which quarantine and page show; `reason`, a sentence about a row that fails,
with `{value}` for what was found; `measure`, the column it was found in; `optional`, if the measure may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from matbind.base.config import StrictModel
from matbind.base.errors import UserError
from matbind.modalities.table import TABLE

SUITE = "expectations.json"
COLUMNS = ("column", "column_A", "column_B")
KEYS = ("type", "kwargs", "meta", "severity", "description", "notes", "id")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation of a suite.

    Attributes:
        place: its file, its number there and its type, for messages.
        of_project: whether the project added it.
        judge: as Great Expectations has it.
    """

    place: str
    of_project: bool
    judge: Any

    @property
    def columns(self) -> list[str]:
        """Names of the columns it looks at."""
        single = [getattr(self.judge, key, None) for key in COLUMNS]
        return [name for name in (*single, *getattr(self.judge, "column_list", ())) if name is not None]

    @property
    def meta(self) -> dict[str, Any]:
        """What its file says besides."""
        return self.judge.meta or {}


def suite_of(name: str, project: Path | None) -> list[Expectation]:
    """Read everything that is expected of the table of a modality.

    Args:
        name: of the modality.
        project: directory of the project's own suites, in which a file may be missing; None for no such directory.

    Raises:
        UserError: if a file is no suite, or an expectation in it is none.
    """
    project_file = None if project is None else project / f"{name}.json"
    further = [] if project_file is None or not project_file.exists() else read_suite(project_file, of_project=True)
    every_table = Path(str(files(__package__) / "assets" / SUITE))
    return [*read_suite(every_table), *read_suite(Path(str(files(TABLE[name]) / SUITE))), *further]


def read_suite(path: Path, *, of_project: bool = False) -> list[Expectation]:
    """Read one suite, as :func:`suite_of`."""
    return [
        _expectation(entry, f"{path}: expectation {number}", of_project=of_project)
        for number, entry in enumerate(_entries(path), start=1)
    ]


def _entries(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is not a readable text file ({error})") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno}: this is not valid JSON ({error.msg})") from error
    entries = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(f'{path}: found no list of expectations, expected a suite such as {{"expectations": []}}')
    return entries


def _expectation(entry: Any, place: str, *, of_project: bool) -> Expectation:
    from great_expectations.exceptions import ExpectationNotFoundError, GreatExpectationsError  # type: ignore[attr-defined]
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    import matbind.data.validation.expectations  # noqa: F401  # to be known by their types

    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise UserError(f"{place} has no type, expected one such as expect_column_values_to_be_between")
    place = f"{place} ({entry['type']})"
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        raise UserError(f"{place} has the unknown key {unknown[0]}, expected {', '.join(KEYS)}")
    stated = {"kwargs": {}} | {key: value for key, value in entry.items() if key != "id"}
    try:
        return Expectation(place, of_project, ExpectationConfiguration(**stated).to_domain_obj())
    except ExpectationNotFoundError as error:
        raise UserError(
            f"{place} is of a type that is not known, expected one of Great Expectations' gallery"
        ) from error
    except (GreatExpectationsError, TypeError, ValueError) as error:
        raise UserError(f"{place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return why an expectation is none; of several reasons the first."""
    if hasattr(error, "errors"):  # pydantic's
        first = error.errors()[0]
        return ": ".join([".".join(str(key) for key in first["loc"] if key != "__root__"), first["msg"]]).lstrip(": ")
    return str(error).splitlines()[0]


def check_columns(suite: Sequence[Expectation], columns: Sequence[str]) -> None:
    """Check that there is every column that expectations name.

    Raises:
        UserError: if one is not among those of the table and the measures.
    """
    for expectation in suite:
        for name in expectation.columns:
            if name not in columns:
                raise UserError(
                    f"{expectation.place} names the column {name}, expected one of {', '.join(sorted(columns))}"
                )


def check_parameters(suite: Sequence[Expectation], parameters: Mapping[str, Any]) -> None:
    """Check that whatever a suite names as `$PARAMETER` has a value.

    Raises:
        UserError: if one has none, or cannot be computed.
    """
    from great_expectations.core.suite_parameters import parse_suite_parameter
    from great_expectations.exceptions import SuiteParameterError  # type: ignore[attr-defined]

    for expectation in suite:
        for term in expectation.judge.suite_parameter_options:
            try:
                parse_suite_parameter(term, dict(parameters))
            except SuiteParameterError as error:
                known = ", ".join(sorted(parameters))
                raise UserError(
                    f"{expectation.place} names the parameter {term}, expected one of {known}, or a sum or product"
                ) from error


def parameters_of(settings: StrictModel, further: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a suite may name as `$PARAMETER`: numbers of a block of settings, and what a validator adds.

    The two numbers of a pair are named `<key>_low` and `<key>_high`.
    """
    parameters: dict[str, Any] = {}
    for key, value in settings:
        if isinstance(value, tuple):
            parameters |= {f"{key}_low": value[0], f"{key}_high": value[1]}
        elif isinstance(value, int | float):
            parameters[key] = value + 0  # GX has no bounds that are true or false
    return parameters | dict(further)
