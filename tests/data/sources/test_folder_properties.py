from __future__ import annotations

import pytest

from matbind.base.errors import UserError
from matbind.data.sources.folder_properties import read_properties
from tests.factories import silent


def _read(tmp_path, text, log=silent):
    (tmp_path / "properties.csv").write_text(text)
    return read_properties(tmp_path / "properties.csv", log=log)


def test_known_columns_are_read_and_others_reported(tmp_path):
    lines = []
    table = _read(tmp_path, "material_id, band_gap ,colour\na,1.5,red\nb,,blue\n", lines.append)
    assert table is not None
    assert table.rows() == [("a", 1.5), ("b", None)]
    assert "the columns colour are left out" in lines[0]


def test_without_the_file_there_are_none(tmp_path):
    assert read_properties(tmp_path / "properties.csv", log=silent) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,band_gap\na,1\n", "column material_id is missing, found id, band_gap"),
        ("material_id,band_gap\na,1\na,2\n", "material_id 'a' stands in more than one row"),
        ("material_id,band_gap\na,1\nb,wide\n", "band_gap of 'b' is 'wide', expected a number"),
        ("material_id,band_gap\na,inf\n", "band_gap of 'a' is 'inf'"),
        ("", "no CSV table"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, text)
