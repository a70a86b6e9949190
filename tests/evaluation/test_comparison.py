from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from matbind.base.errors import UserError
from matbind.evaluation.comparison import (
    assemble_comparison,
    recall_by_combination,
    recall_of_all,
    summarise_pairs,
    to_markdown,
)
from matbind.evaluation.retrieval import summarise
from matbind.modalities.combinations import Combination, all_combinations, pair_name, parse_combination

N = 50


def result(kind: str, n_hits: int) -> dict[str, Any]:
    """Of 50 queries, so many find their key first and the rest find it sixth."""
    return summarise(np.where(np.arange(N) < n_hits, 1, 6), kind=kind).as_dict()


def run_of(combination: Combination, n_hits: int = 20) -> dict[str, Any]:
    """Every pair a little better than the one before it."""
    pairs = {
        pair_name(*pair): result(combination.kind(*pair), n_hits + i) for i, pair in enumerate(combination.pairs())
    }
    return {
        "combination": combination.name,
        "hub": combination.hub,
        "run_id": f"run of {combination.name}",
        "seed": 0,
        "seeds": [0],
        "trainings": [{"pairs": pairs}],
        "pairs": pairs,
        "fused": {},
        "control": {name: result(measured["kind"], 1) for name, measured in pairs.items()},
        "seconds": 12.0,
    }


def compare(runs: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    return assemble_comparison(runs, **{"baseline": {}, "data_md5": "abc.dir", "git_commit": "f00d"} | options)


def table_rows(document: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in document.splitlines() if line[:1] == "|"]


def test_document_holds_what_each_run_brought():
    run = run_of(parse_combination("crystal+dos"))
    baseline = {"dos->crystal": result("aligned", 3)}
    comparison = compare([run], baseline=baseline)
    assert comparison["combinations"] == {
        "crystal+dos": {
            "hub": "crystal",
            "run_id": "run of crystal+dos",
            "seed": 0,
            "seeds": [0],
            "pairs": run["pairs"],
        }
    }
    assert comparison["baseline"] == baseline
    assert comparison["control"] == {"crystal+dos": run["control"]}
    assert (comparison["data_md5"], comparison["git_commit"]) == ("abc.dir", "f00d")


def test_document_says_which_pairs_have_no_baseline():
    why = {"text->dos": "the baseline describes too few"}
    assert compare([run_of(parse_combination("dos+text"))], baseline_unmeasured=why)["baseline_unmeasured"] == why


def test_document_survives_json():
    comparison = compare([run_of(combination) for combination in all_combinations()])
    assert json.loads(json.dumps(comparison, allow_nan=False)) == comparison
    assert to_markdown(json.loads(json.dumps(comparison))) == to_markdown(comparison)


def test_combinations_come_in_their_order_whatever_the_order_of_runs():
    runs = [run_of(combination) for combination in reversed(all_combinations())]
    assert list(compare(runs)["combinations"]) == [combination.name for combination in all_combinations()]


def test_summary_worked_by_hand():
    pairs = {
        "text->crystal": result("aligned", 40),
        "crystal->text": result("aligned", 30),
        "text->dos": result("emergent", 10),
    }
    assert summarise_pairs(pairs) == {
        "aligned": {
            "best_pair": "text->crystal",
            "best_recall_at_1": 0.8,
            "mean_recall_at_1": pytest.approx(0.7),
            "mean_recall_at_5": pytest.approx(0.7),
            "mean_chance_at_1": pytest.approx(0.02),
        },
        "emergent": {
            "best_pair": "text->dos",
            "best_recall_at_1": 0.2,
            "mean_recall_at_1": 0.2,
            "mean_recall_at_5": 0.2,
            "mean_chance_at_1": 0.02,
        },
        "view": None,
    }


def test_best_of_all_combinations():
    runs = [run_of(parse_combination("crystal+dos+text"), 30), run_of(parse_combination("crystal+dos"), 25)]
    best = compare([*runs, run_of(parse_combination("dos"), 49)])["summary"]["best"]
    # Pairs of the three: crystal->dos 30, crystal->text 31, dos->crystal 32, dos->text 33, text->crystal 34, ...
    assert best["aligned"] == {"combination": "crystal+dos+text", "pair": "text->crystal", "recall_at_1": 34 / 50}
    assert best["emergent"] == {"combination": "crystal+dos+text", "pair": "text->dos", "recall_at_1": 35 / 50}
    assert best["view"] == {"combination": "dos", "pair": "dos->dos", "recall_at_1": 49 / 50}


def test_best_of_nothing_is_nothing():
    assert compare([run_of(parse_combination("crystal+dos"))])["summary"]["best"]["emergent"] is None


def test_failed_combination_appears_as_failed():
    error = "loss became NaN\nin epoch 3 | step 7"
    comparison = compare([{"combination": "crystal+dos", "error": error}, run_of(parse_combination("crystal+text"))])
    assert comparison["combinations"]["crystal+dos"] == {"error": error}
    assert comparison["summary"]["failed"] == ["crystal+dos"]
    assert "| crystal+dos | failed: loss became NaN in epoch 3 / step 7 |" in to_markdown(comparison)


def test_table_has_a_row_for_each_combination_with_singles_apart():
    runs = [run_of(combination) for combination in all_combinations()]
    runs[0] = {"combination": "crystal", "error": "killed"}
    runs[5] = {"combination": "crystal+pxrd", "error": "killed"}
    comparison = compare(runs, baseline={"dos->crystal": result("aligned", 3)})
    rows = table_rows(to_markdown(comparison))
    several, singles = [row for row in rows if len(row) == 10], [row for row in rows if len(row) == 8]
    assert len(several) + len(singles) == len(rows)
    assert [row[0] for row in several[2:]] == [c.name for c in all_combinations()[4:]] + ["*linear baseline*"]
    assert [row[0] for row in singles[2:]] == ["crystal", "dos", "pxrd", "text"]


def test_rows_of_the_table_worked_by_hand():
    comparison = compare([run_of(parse_combination("crystal+dos")), run_of(parse_combination("text"))])
    rows = table_rows(to_markdown(comparison))
    assert rows[2] == ["crystal+dos", "crystal", "50", "0.0200", "0.410", "0.410", "dos->crystal 0.420", "-", "-", "-"]
    low, high = comparison["combinations"]["text"]["pairs"]["text->text"]["recall_at_1_ci95"]
    assert rows[-1] == ["text", "50", "0.0200", "0.400", f"{low:.3f} to {high:.3f}", "0.400", "6", "0.500"]


def test_table_gives_the_range_of_galleries():
    run = run_of(parse_combination("crystal+dos+text"))
    run["pairs"]["dos->text"] |= {"n": 40, "chance_at_1": 0.025}
    assert table_rows(to_markdown(compare([run])))[2][2:4] == ["40 to 50", "0.0200 to 0.0250"]


def test_combination_without_a_measured_pair_has_an_empty_row():
    document = to_markdown(
        compare(
            [
                {"combination": c, "hub": "dos", "run_id": None, "pairs": {}, "trainings": [{"pairs": {}}]}
                for c in ("dos", "dos+pxrd")
            ]
        )
    )
    assert "| dos+pxrd | dos | - | - | - | - | - | - | - | - |" in document
    assert "| dos | - | - | - | - | - | - | - |" in document


def test_table_states_the_control():
    comparison = compare([run_of(parse_combination("crystal+dos"))])
    assert "with the keys shuffled, recall@1 is 0.0200 on average over 2 pairs, where chance is 0.0200." in to_markdown(
        comparison
    )


def test_pair_measured_on_other_materials_is_refused():
    old = run_of(parse_combination("crystal+dos+text"))
    old["pairs"]["dos->crystal"]["n"] = 49
    with pytest.raises(
        UserError, match="crystal\\+dos\\+text: dos->crystal was measured on 49 materials, expected 50 as in"
    ):
        compare([old, run_of(parse_combination("crystal+dos"))])


def test_unknown_combination_is_refused():
    with pytest.raises(UserError, match="metrics of 'crystal\\+raman': unknown modality 'raman'; allowed: crystal"):
        compare([{"combination": "crystal+raman", "error": ""}])


def test_combination_found_twice_is_refused():
    with pytest.raises(UserError, match="metrics of crystal\\+dos: found twice"):
        compare([{"combination": name, "error": ""} for name in ("crystal+dos", "dos+crystal")])


def test_recall_is_averaged_over_pairs_and_then_over_combinations():
    triple, single = parse_combination("crystal+dos+text"), parse_combination("dos")
    pairs = {
        "dos->crystal": result("aligned", 10),
        "text->crystal": result("aligned", 11),
        "dos->text": result("emergent", 2),
    }
    recall = recall_by_combination(
        compare([run_of(single, 40), {**run_of(triple), "pairs": pairs}, run_of(parse_combination("crystal+text"), 0)])
    )

    assert recall["crystal+dos+text"] == {"aligned": 0.21, "emergent": 0.04}
    assert recall["dos"] == {"view": 0.8}
    assert recall["crystal+text"] == {"aligned": 0.01}
    assert recall_of_all(recall) == {"aligned": 0.11, "emergent": 0.04, "view": 0.8}


def test_a_kind_that_no_combination_has_is_left_out_of_recall():
    recall = recall_by_combination(compare([run_of(parse_combination("dos"), 40)]))
    assert recall_of_all(recall) == {"view": 0.8}


def test_of_several_trainings_the_spread_of_the_mean_is_told():
    combination = parse_combination("crystal+dos")
    first, second = run_of(combination, 20), run_of(combination, 30)
    run = first | {"seeds": [0, 1], "trainings": [first, second]}
    comparison = compare([run])
    recall = recall_by_combination(comparison)["crystal+dos"]
    assert recall["aligned_sd"] == pytest.approx(np.std([20 / N, 30 / N], ddof=1), abs=1e-5)
    assert set(recall_of_all({"crystal+dos": recall})) == {"aligned"}
    assert "Recall is the mean of 2 trainings each" in to_markdown(comparison)
    assert "One training each: intervals are over test materials only." in to_markdown(compare([first]))
