from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matbind.evaluation.two_level import share_interval, wider_reach
from matbind.registry.promotion.gates import Candidate, Gate, allowed_fall, gates_of
from matbind.registry.registry import Version
from matbind.serving.bundle import test_set_digest as split_digest
from matbind.tracking.record import result_digest
from tests.registry.promotion.promoted import COMBINATION, NAME, changed, evaluation, write_features

EVERYTHING = "crystal+dos+pxrd+text"
PAIR = "pxrd->crystal"


def candidate(metrics: dict[str, Any], number: int = 2, **tags: str) -> Candidate:
    all_tags = {
        "combination": metrics["combination"],
        "matbind.evaluation": result_digest(metrics),
        "test_set_digest": "t1",
        **tags,
    }
    return Candidate(Version(NAME, number, None, "m-1", all_tags), metrics)


def failed(new: dict[str, Any], old: dict[str, Any] | None, **tags: str) -> dict[str, str]:
    """Return what the gates of regression say, by name of those that are not passed."""
    champion = None if old is None else candidate(old, 1, **tags)
    gates = gates_of(candidate(new), champion, Path("no features"), {})
    return {gate.name: gate.says for gate in gates if not gate.passed and gate.name != "test_split"}


def gate(name: str, of: Candidate, features: Path) -> Gate:
    """Return one gate of a version where nothing is in production."""
    return {gate.name: gate for gate in gates_of(of, None, features, {})}[name]


def test_the_allowed_fall_is_that_of_a_difference_of_two_shares() -> None:
    new = {"recall_at_1": 0.50, "recall_at_1_ci95": [0.40, 0.53], "n": 100}
    old = {"recall_at_1": 0.60, "recall_at_1_ci95": [0.56, 0.70], "n": 100}

    assert allowed_fall([new], [old]) == pytest.approx(0.05)  # hypot(0.03, 0.04)


def test_the_allowed_fall_of_a_mean_is_of_the_mean_intervals() -> None:
    new = [{"recall_at_1": 0.5, "recall_at_1_ci95": [0.4, high], "n": 100} for high in (0.52, 0.54)]
    old = [{"recall_at_1": 0.6, "recall_at_1_ci95": [low, 0.7], "n": 100} for low in (0.57, 0.55)]

    assert allowed_fall(new, old) == pytest.approx(0.05)


def test_a_version_that_was_trained_once_is_taken_to_vary_as_the_other_does() -> None:
    several = {"recall_at_1": 0.60, "recall_at_1_ci95": [0.50, 0.70], "n": 100, "n_seeds": 3, "recall_at_1_sd": 0.02}
    once = {"recall_at_1": 0.50, "recall_at_1_ci95": [0.47, 0.53], "n": 100, "n_seeds": 1, "recall_at_1_sd": None}
    wider = wider_reach(0.03, deviation=0.02, n_trainings=3)

    assert allowed_fall([once], [several]) == pytest.approx(math.hypot(wider, 0.1))
    assert allowed_fall([several], [once]) == pytest.approx(math.hypot(0.1, wider))
    assert allowed_fall([once], [several], both_trained=False) == pytest.approx(math.hypot(0.03, 0.1))
    assert allowed_fall([several], [several]) == pytest.approx(math.hypot(0.1, 0.1))


def test_of_several_trainings_it_is_their_means_that_are_compared() -> None:
    """A fall that is beyond chance for materials alone is none if trainings differ by as much."""

    def trained(recalls: tuple[float, ...]) -> dict[str, Any]:
        metrics = evaluation()
        hits = np.array([np.arange(metrics["pairs"][PAIR]["n"]) < recall * 200 for recall in recalls])
        spread = float(np.std(recalls, ddof=1)) if len(recalls) > 1 else None
        figures = {"recall_at_1": float(hits.mean()), "recall_at_1_ci95": list(share_interval(hits, seed=0))}
        figures |= {"n_seeds": len(recalls), "recall_at_1_sd": spread}
        return metrics | {"pairs": {name: pair | figures for name, pair in metrics["pairs"].items()}}

    assert "mean" in failed(trained((0.35,)), trained((0.55,)))
    assert "mean" in failed(trained((0.34, 0.35, 0.36)), trained((0.54, 0.55, 0.56)))
    assert not failed(trained((0.20, 0.35, 0.50)), trained((0.40, 0.55, 0.70)))
    assert "means of 3 and 1 trainings" in failed(trained((0.19, 0.20, 0.21)), trained((0.9,)))["mean"]


def test_an_interval_of_no_width_is_that_of_three_queries() -> None:
    never = {"recall_at_1": 0.0, "recall_at_1_ci95": [0.0, 0.0], "n": 100}
    always = {"recall_at_1": 1.0, "recall_at_1_ci95": [1.0, 1.0], "n": 75}

    assert allowed_fall([never], [always]) == pytest.approx(0.05)  # hypot(3 / 100, 3 / 75)


@pytest.mark.parametrize("recall", [0.5, 0.47, 0.9])
def test_equal_better_and_worse_by_chance_pass(recall: float) -> None:
    assert failed(evaluation(recall), evaluation(0.5)) == {}


def test_worse_beyond_chance_is_told_with_the_figures_of_both() -> None:
    says = failed(evaluation(0.3), evaluation(0.5))["mean"]

    assert says.startswith(
        "its mean aligned recall@1 is 0.300, that of version 1 in production 0.500, lower by 0.200: "
        "the intervals of both allow a fall of 0.09"
    )


def test_of_a_single_the_views_are_compared() -> None:
    says = failed(evaluation(0.3, combination="text"), evaluation(0.5, combination="text"))["mean"]

    assert says.startswith("its mean view recall@1 is 0.300")


def test_a_pair_that_collapses_is_told_though_the_mean_rises() -> None:
    new = evaluation(0.9, combination=EVERYTHING, pairs={"text->crystal": 0.2})

    assert failed(new, evaluation(0.5, combination=EVERYTHING)) == {
        "pairs": "recall@1 fell beyond its interval: text->crystal from 0.500 to 0.200 (allowed: 0.092)"
    }


def test_an_emergent_pair_may_not_collapse_either() -> None:
    new = evaluation(0.5, combination=EVERYTHING, pairs={"text->dos": 0.1})

    assert set(failed(new, evaluation(0.5, combination=EVERYTHING))) == {"pairs"}


def test_of_many_pairs_the_worst_are_named() -> None:
    says = failed(evaluation(0.2, combination=EVERYTHING), evaluation(0.5, combination=EVERYTHING))["pairs"]

    assert says.count("->") == 3
    assert says.endswith(", 9 more")


def test_nothing_in_production_is_nothing_to_fall_below() -> None:
    assert failed(evaluation(0.1), None) == {}


def floor(recall: float, linear: float | None = None, *, combination: str = COMBINATION, n: int = 200) -> Gate:
    """Return what the floor says of a version with this recall@1, beside a linear baseline with that."""
    baseline = {} if linear is None else evaluation(linear, combination=combination, n=n)["pairs"]
    gates = gates_of(candidate(evaluation(recall, combination=combination)), None, Path("no features"), baseline)
    return {gate.name: gate for gate in gates}["floor"]


@pytest.mark.parametrize("recall", [0.0, 0.005, 0.01])
def test_what_guesses_is_refused_with_what_guessing_reaches(recall: float) -> None:
    gate = floor(recall)

    assert not gate.passed
    assert gate.says.startswith(f"its mean aligned recall@1 is {recall:.3f}, guessing reaches 0.005, expected more ")


def test_what_hardly_beats_the_linear_baseline_is_refused_with_its_figure() -> None:
    gate = floor(0.06, 0.03)

    assert not gate.passed
    assert gate.says.startswith(
        "its mean aligned recall@1 is 0.060, guessing reaches 0.005, the linear baseline 0.030, expected more than 0.0"
    )


@pytest.mark.parametrize(
    ("recall", "linear"),
    [(0.2, 0.03), (0.955, 0.96), (0.9, 0.95)],
    ids=["clearly better", "as good as a strong one", "worse than a strong one by chance"],
)
def test_better_than_a_weak_and_as_good_as_a_strong_baseline_passes(recall: float, linear: float) -> None:
    assert floor(recall, linear).passed


def test_worse_than_a_strong_baseline_beyond_chance_is_refused() -> None:
    assert not floor(0.7, 0.95).passed


def test_a_single_is_held_against_guessing_alone() -> None:
    assert floor(0.5, combination="text").passed
    assert not floor(0.0, combination="text").passed


def test_a_baseline_of_another_gallery_is_none() -> None:
    gate = floor(0.1, 0.9, n=100)

    assert (gate.passed, gate.says.endswith("; no linear baseline is known for it")) == (True, True)


@pytest.mark.parametrize(
    ("old", "tags", "says"),
    [
        (
            evaluation(0.4),
            {"test_set_digest": "other"},
            (
                "version 1 in production was evaluated on another test split (other, not t1; mean aligned recall@1 "
                "0.500 and 0.400), so they cannot be compared"
            ),
        ),
        (
            evaluation(0.4, n=100),
            {},
            (
                "crystal->pxrd was measured on 200 materials, of version 1 in production on 100, so they cannot be "
                "compared"
            ),
        ),
        (
            {"combination": COMBINATION, "error": "the loss is nan"},
            {},
            (
                "version 1 in production has no evaluation that can be used (its evaluation.json is no evaluation of "
                "crystal+pxrd (KeyError: 'hub')), so they cannot be compared"
            ),
        ),
        (
            evaluation(0.4),
            {"matbind.evaluation": "another"},
            (
                "the evaluation.json of version 1 in production is not the one that its tags speak of, so they cannot "
                "be compared"
            ),
        ),
    ],
)
def test_what_cannot_be_compared_is_said(old: dict[str, Any], tags: dict[str, str], says: str) -> None:
    assert failed(evaluation(0.5), old, **tags) == {"comparable": says}


@pytest.mark.parametrize(
    ("metrics", "lack"),
    [
        (evaluation() | {"pairs": {}}, "lacks crystal->pxrd, pxrd->crystal"),
        (evaluation() | {"hub": "dos"}, "is no evaluation of crystal+pxrd"),
        (changed(evaluation(), "crystal->pxrd", recall_at_1=float("nan")), "has no figures of crystal->pxrd"),
        (changed(evaluation(), "crystal->pxrd", recall_at_1_ci95=None), "is no evaluation of crystal+pxrd (TypeError"),
        (changed(evaluation(), "pxrd->crystal", n=1), "has no figures of pxrd->crystal"),
        (
            evaluation() | {"pairs": {}, "unmeasured": {"crystal->pxrd": 1, "pxrd->crystal": 1}},
            "measures no pair that was trained",
        ),
    ],
)
def test_an_evaluation_that_is_not_whole_is_told(metrics: dict[str, Any], lack: str, tmp_path: Path) -> None:
    whole = gate("evaluation", candidate(metrics), write_features(tmp_path))

    assert not whole.passed
    assert whole.says.startswith(f"its evaluation.json {lack}")


def test_a_pair_that_nothing_was_there_to_measure_is_not_missing(tmp_path: Path) -> None:
    metrics = evaluation() | {"unmeasured": {"pxrd->crystal": 1}}
    del metrics["pairs"]["pxrd->crystal"]

    assert gate("evaluation", candidate(metrics), write_features(tmp_path)).passed


def test_the_current_split_passes_and_another_is_stale(tmp_path: Path) -> None:
    features = write_features(tmp_path)
    current = split_digest(features)

    passed = gate("test_split", candidate(evaluation(), test_set_digest=current), features)
    stale = gate("test_split", candidate(evaluation(), test_set_digest="0123456789"), features)

    assert passed.passed
    assert stale.says == (
        f"its evaluation is stale: it was made on the test split 01234567, the current one is {current[:8]}; "
        "evaluate and register it again"
    )


def test_without_features_the_split_is_not_known(tmp_path: Path) -> None:
    split = gate("test_split", candidate(evaluation()), tmp_path)

    assert not split.passed
    assert "index.parquet: the file does not exist, run the featurize stage first" in split.says
