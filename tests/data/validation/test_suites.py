"""Suites are files that a user edits: what is wrong in one is told by file, expectation and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.data.validation.suites import check_columns, check_parameters, parameters_of, read_suite, suite_of
from matbind.modalities.table import modality_names
from tests.modalities import fifth

BETWEEN = "expect_column_values_to_be_between"
LOW = {"type": BETWEEN, "kwargs": {"column": "n_sites", "max_value": 40}}


def written(path: Path, *expectations) -> Path:
    path.write_text(json.dumps({"name": path.stem, "expectations": expectations}))
    return path


def kinds(name: str, project: Path | None = None) -> list[str]:
    return [expectation.judge.expectation_type for expectation in suite_of(name, project)]


@pytest.mark.parametrize("name", modality_names())
def test_every_table_is_judged_by_many_kinds_of_expectation(name):
    assert len(set(kinds(name))) >= 7


def test_a_project_adds_to_what_is_expected_anyway(tmp_path):
    written(
        tmp_path / "text.json",
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text", "regex": "a"}},
    )

    assert kinds("text", tmp_path) == [*kinds("text"), "expect_column_values_to_match_regex"]
    assert kinds("dos", tmp_path) == kinds("dos")


def test_the_folder_of_a_fifth_modality_brings_its_suite(monkeypatch):
    fifth.add_to_table(monkeypatch)
    assert "expect_arrays_to_be_finite" in kinds(fifth.NAME)


def test_a_suite_that_great_expectations_has_written_can_be_read(tmp_path):
    stored = LOW | {"id": "6f6db45b-35a4-4b2d-bb4b-4b0b3c3f5d7d", "severity": "warning", "notes": "cells"}
    (expectation,) = read_suite(written(tmp_path / "crystal.json", stored))
    assert (expectation.judge.severity.value, expectation.columns) == ("warning", ["n_sites"])


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"type": "expect_wonders"}, "(expect_wonders) is of a type that is not known"),
        ({"kwargs": {}}, "has no type, expected one such as expect_column_values_to_be_between"),
        ("between", "has no type"),
        (LOW | {"level": "high"}, f"({BETWEEN}) has the unknown key level, expected type, kwargs, meta"),
        ({"type": BETWEEN, "kwargs": {"column": "a", "most": 1}}, f"({BETWEEN}): most: extra fields not permitted"),
        ({"type": BETWEEN, "kwargs": {"column": "a"}}, f"({BETWEEN}): min_value and max_value cannot both be None"),
        (LOW | {"severity": "grave"}, f"({BETWEEN}): Invalid severity 'grave'. Must be one of"),
    ],
)
def test_an_entry_that_is_no_expectation_is_named_with_the_reason(tmp_path, entry, reason):
    path = written(tmp_path / "crystal.json", LOW, entry)
    with pytest.raises(UserError) as refused:
        read_suite(path)
    assert f"{path}: expectation 2 {reason}".replace(" :", ":") in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"expectations": [\n{]}', " line 2: this is not valid JSON"),
        ("[]", ": found no list of expectations"),
        ('{"expectations": {}}', ": found no list of expectations"),
    ],
)
def test_a_file_that_is_no_suite_is_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "dos.json"
    path.write_text(content)
    with pytest.raises(UserError) as refused:
        read_suite(path)
    assert str(refused.value).startswith(f"{path}{reason}")


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    suite = read_suite(written(tmp_path / "crystal.json", LOW))
    with pytest.raises(UserError) as refused:
        check_columns(suite, ["volume", "formula"])
    place = f"{tmp_path / 'crystal.json'}: expectation 1 ({BETWEEN})"
    assert str(refused.value) == f"{place} names the column n_sites, expected one of formula, volume"


def test_numbers_of_settings_are_parameters(settings):
    parameters = parameters_of(settings().dos, {"n_points": 3})
    assert (parameters["window_ev_low"], parameters["window_ev_high"], parameters["n_points"]) == (-16, 8, 3)
    assert "electrons" not in parameters
    ends = parameters_of(settings().text, {})["ends_a_sentence"]
    assert (ends, type(ends)) == (1, int)


def test_a_parameter_without_a_value_is_named_with_those_that_have_one(tmp_path):
    term = {"type": BETWEEN, "kwargs": {"column": "a", "max_value": {"$PARAMETER": "1 + low"}}}
    suite = read_suite(written(tmp_path / "crystal.json", term))
    check_parameters(suite, {"low": 1})
    with pytest.raises(UserError, match=r"\) names the parameter 1 \+ low, expected one of high, or a sum or product"):
        check_parameters(suite, {"high": 1})
