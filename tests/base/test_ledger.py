from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.base.ledger import Ledger, digest

SCHEMA = {"text": pl.String}


def _row(material_id: str, of: str, text: str | None = None, reason: str | None = None) -> dict[str, str | None]:
    return {"material_id": material_id, "digest": of, "text": text, "reason": reason}


def test_a_ledger_goes_on_where_it_was_left(tmp_path: Path) -> None:
    items = [("a", "1"), ("b", "1"), ("c", "1")]
    Ledger(tmp_path, SCHEMA).add([_row("c", "1", "see")])

    again = Ledger(tmp_path, SCHEMA)
    assert again.open_items(items) == [0, 1]
    again.add([_row("b", "1", "bee"), _row("a", "1", "ay")])

    assert Ledger(tmp_path, SCHEMA).open_items(items) == []
    assert Ledger(tmp_path, SCHEMA).results(items).rows() == [("a", "ay"), ("b", "bee"), ("c", "see")]


def test_a_changed_material_is_open_again_and_its_old_result_is_not_delivered(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SCHEMA)
    ledger.add([_row("a", "1", "old"), _row("b", "1", "same")])

    assert ledger.open_items([("a", "2"), ("b", "1")]) == [0]
    assert ledger.results([("a", "2"), ("b", "1")]).rows() == [("b", "same")]


def test_failures_are_listed_and_tried_again_only_when_asked(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SCHEMA)
    ledger.add([_row("a", "1", reason="did not converge")])

    assert ledger.open_items([("a", "1")]) == []
    assert ledger.open_items([("a", "1")], retry_failed=True) == [0]
    assert ledger.failures([("a", "1")]).rows() == [("a", "did not converge")]
    ledger.add([_row("a", "1", "converged")])
    assert ledger.failures([("a", "1")]).is_empty()
    assert Ledger(tmp_path, SCHEMA).results([("a", "1")]).rows() == [("a", "converged")]


def test_what_a_kill_leaves_half_written_is_no_part(tmp_path: Path) -> None:
    Ledger(tmp_path, SCHEMA).add([_row("a", "1", "ay")])
    (tmp_path / "part-000001.parquet.123.partial").write_bytes(b"PAR1")

    assert Ledger(tmp_path, SCHEMA).results([("a", "1")]).rows() == [("a", "ay")]


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-000000.parquet").write_bytes(b"PAR1")

    with pytest.raises(UserError, match=r"part-000000\.parquet: this part of an earlier run cannot be used"):
        Ledger(tmp_path, SCHEMA)


def test_the_digest_tells_apart_what_differs_in_any_value() -> None:
    values = [("a", "bc"), ("ab", "c"), (np.array([1.0]), "c"), (np.array([2.0]), "c")]
    assert len({digest(*pair) for pair in values}) == 4
    assert digest(np.array([1.0]), "c") == digest(np.array([1.0]), "c")
