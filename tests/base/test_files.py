from __future__ import annotations

from pathlib import Path

import pytest

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json, written_whole


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": [1, 2.5, None]})

    assert read_json(tmp_path / "deep" / "a.json") == {"x": [1, 2.5, None]}


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def write_half() -> None:
        with written_whole(path) as partial:
            partial.write_text("{half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.json: the file does not exist"):
        read_json(tmp_path / "nothing.json")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"pairs": {"dos')

    with pytest.raises(UserError, match=r"cut\.json: found no valid JSON"):
        read_json(path)
