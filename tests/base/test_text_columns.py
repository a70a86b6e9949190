from __future__ import annotations

import pytest

from matbind.base.text_columns import parse_columns, share_of_rows


@pytest.mark.parametrize(
    "text",
    [
        "10.5 100.25\n10.6 200\n",
        "10.5\t100.25\r\n10.6\t200\r\n",
        "10.5,100.25\n10.6,200\n",
        "10.5, 100.25,\n10.6, 200,\n",
        "10.5;100.25\r10.6;200\r",
        "10,5;100,25\n10,6;200\n",
        "10,5\t100,25\n10,6\t200\n",
        "10,5  100,25\n10,6  200\n",
        '"10.5","100.25"\n"10.6","200"\n',
        "1.05E+01 1.0025D+02\n1.06E+01 2.0D+02\n",
        "10.5 100.25 # first\n10.6 200 ! second\n",
    ],
)
def test_columns_are_found_whatever_separates_them(text):
    assert parse_columns(text).values.tolist() == [[10.5, 100.25], [10.6, 200.0]]


def test_a_comma_between_whole_numbers_separates_columns():
    assert parse_columns("10,153\n11,160\n").values.tolist() == [[10, 153], [11, 160]]


def test_the_header_names_the_columns():
    columns = parse_columns("# Sample 7\n# 2theta (deg)   Intensity (cps)   esd\n10 1 0.1\n11 2 0.1\n")
    assert columns.header == ["Sample 7", "2theta (deg)   Intensity (cps)   esd"]
    assert columns.names == ["2theta (deg)", "intensity (cps)", "esd"]
    assert columns.lines == [3, 4]


def test_lines_among_the_rows_are_kept_with_their_number_and_those_behind_the_last_are_not():
    columns = parse_columns("1 2\noverflow\n3 4\n# note\n5 6\nend\n")
    assert [(i.row, i.line, i.text, i.is_comment) for i in columns.interruptions] == [
        (1, 2, "overflow", False),
        (2, 4, "# note", True),
    ]


def test_a_text_without_columns_is_refused():
    with pytest.raises(ValueError, match="no two columns of numbers"):
        parse_columns("A blue powder.\nIt was ground for 5 minutes.\n")


def test_the_share_of_rows_tells_numbers_from_prose():
    assert share_of_rows("# header\n1 2\n3 4\n") == 1.0
    assert share_of_rows("A text.\nWith a table:\n1 2\nand more words\n") == 0.25
    assert share_of_rows("\n") == 0.0
