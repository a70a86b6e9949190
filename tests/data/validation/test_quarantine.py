from __future__ import annotations

import polars as pl

from matbind.data.validation.outcome import Outcome
from matbind.data.validation.quarantine import UNMEASURED, Checked, lost_with_structure, quarantined, with_identity

SUMMARY = pl.DataFrame(
    {"row": [0, 1, 2, 3, 4, 5], "material_id": ["a", "b", "a", "b", None, " "], "m": [1.0, 2.0, 1.0, 3.0, 4.0, 4.0]}
)


def test_of_equal_rows_with_one_id_the_first_stays_and_of_unequal_ones_none():
    summary = with_identity(SUMMARY, pl.Series(["a", "b"]))
    assert summary["n_same_id"].to_list() == [0, 1, 1, 1, 0, 0]


def test_ids_that_no_structure_has_are_marked_and_a_missing_one_is_neither():
    summary = with_identity(SUMMARY, pl.Series(["a", None]))
    assert summary["known_material"].to_list() == [1, 0, 1, 0, None, 0]


def outcome(name: str, rows: tuple[int, ...], *, severity: str = "critical") -> Outcome:
    return Outcome(
        name=name,
        severity=severity,
        met=not rows,
        measure="m",
        minimum=0,
        maximum=1,
        n_checked=6,
        rows=rows,
        values=tuple(map(float, rows)),
        reasons=tuple(f"it is {row}" for row in rows),
    )


def test_one_line_a_row_and_expectation_in_the_order_of_the_rows():
    lines = quarantined([outcome("x", (1, 3)), outcome("y", (0, 1))], SUMMARY, modality="dos")
    assert lines.select("material_id", "expectation", "reason", "observed", "row").rows() == [
        ("a", "y", "it is 0", 0.0, 0),
        ("b", "x", "it is 1", 1.0, 1),
        ("b", "y", "it is 1", 1.0, 1),
        ("b", "x", "it is 3", 3.0, 3),
    ]
    assert lines["modality"].unique().to_list() == ["dos"]


def test_what_could_not_be_measured_is_listed_only_where_nothing_else_says_why():
    lines = quarantined([outcome(UNMEASURED, (1, 2)), outcome("x", (1,))], SUMMARY, modality="dos")
    assert lines.select("row", "expectation").rows() == [(1, "x"), (2, UNMEASURED)]


def test_a_warning_sets_nothing_aside():
    assert quarantined([outcome("x", (1,), severity="warning")], SUMMARY, modality="dos").is_empty()


def test_values_leave_with_their_structure_unless_they_have_a_fault_of_their_own():
    faulty = quarantined([outcome("x", (1,))], SUMMARY, modality="dos")
    lost = lost_with_structure(SUMMARY, faulty, pl.Series(["a"]), modality="dos")
    assert lost.select("row", "expectation").rows() == [(3, "structure_valid"), (5, "structure_valid")]


def test_a_row_stays_unless_it_or_its_structure_has_a_fault():
    failed = [outcome("low", (1, 3))]
    alone = Checked.of("dos", SUMMARY.head(4), failed, sound_ids=None)
    assert (alone.n_quarantined, alone.keep.tolist()) == (2, [True, False, True, False])
    with_structures = Checked.of("dos", SUMMARY.head(4), failed, sound_ids=pl.Series(["b"]))
    assert (with_structures.n_quarantined, with_structures.keep.tolist()) == (2, [False] * 4)
    assert with_structures.with_structure["row"].to_list() == [0, 2]
