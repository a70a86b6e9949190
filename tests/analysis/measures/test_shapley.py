from __future__ import annotations

import itertools

import numpy as np
import pytest

from matbind.analysis.measures.shapley import (
    shapley_bounds,
    shapley_values,
    shares,
    worth_of_probe,
    worth_of_retrieval,
)
from matbind.analysis.task import UnavailableError
from matbind.evaluation.two_level import resampling_weights
from matbind.modalities.combinations import all_combinations
from matbind.modalities.table import modality_names

BY_HAND = {"": 0.1, "dos": 0.2, "text": 0.5, "dos+text": 0.9}


def of_two() -> dict[str, float]:
    """Worth where only two of the four modalities count."""
    return {
        combination.name: BY_HAND["+".join(name for name in combination.modalities if name in ("dos", "text"))]
        for combination in all_combinations()
    }


def random_worth(seed: int = 0) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return {combination.name: float(rng.random()) for combination in all_combinations()}


def by_orders(worth: dict[str, float], empty: float) -> dict[str, float]:
    """The definition: the mean gain of a modality over all orders in which they may join."""
    total = dict.fromkeys(modality_names(), 0.0)
    for order in itertools.permutations(modality_names()):
        reached = empty
        for size in range(1, 5):
            now = worth["+".join(sorted(order[:size], key=modality_names().index))]
            total[order[size - 1]] += (now - reached) / 24
            reached = now
    return total


def hits(seed: int = 0, n: int = 40) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        combination.name: {
            f"{q}->{k}": (rng.random((1, n)) < 0.2 * len(combination.modalities)).astype(float)
            for q, k in combination.pairs()
        }
        for combination in all_combinations()
        if not combination.is_single
    }


def test_two_modalities_by_hand():
    # dos first: 0.2 - 0.1, text first: 0.9 - 0.5; the mean of 0.1 and 0.4 is 0.25.
    values = shapley_values(of_two(), empty=0.1)
    assert values == pytest.approx({"crystal": 0.0, "dos": 0.25, "pxrd": 0.0, "text": 0.55})


def test_all_orders_of_four():
    worth = random_worth()
    assert shapley_values(worth, empty=0.03) == pytest.approx(by_orders(worth, 0.03), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_values_add_up_to_what_all_reach(seed):
    worth = random_worth(seed)
    assert sum(shapley_values(worth, empty=0.1).values()) == pytest.approx(worth["crystal+dos+pxrd+text"] - 0.1)


def test_a_modality_that_adds_nothing_gets_nothing_and_equal_ones_the_same():
    worth = {
        combination.name: 0.3 * ("dos" in combination.modalities or "pxrd" in combination.modalities)
        for combination in all_combinations()
    }
    values = shapley_values(worth, empty=0.0)
    assert values == pytest.approx({"crystal": 0.0, "dos": 0.15, "pxrd": 0.15, "text": 0.0}, abs=1e-12)


def test_a_missing_combination_is_named():
    worth = random_worth()
    del worth["dos+pxrd"], worth["text"]
    with pytest.raises(UnavailableError, match=r"no worth of text, dos\+pxrd: exact values need every combination"):
        shapley_values(worth, empty=0.1)


def test_bounds_without_a_gap_are_the_exact_values():
    worth = random_worth()
    for name, (low, high) in shapley_bounds(worth, empty=0.1, lowest=0, highest=1).items():
        assert low == high == pytest.approx(shapley_values(worth, empty=0.1)[name])


def test_bounds_by_hand():
    # v(text), 0.5, between 0.1 and 0.8: one gain of text in four orders, less one of dos in twelve.
    worth = of_two()
    del worth["text"]
    bounds = shapley_bounds(worth, empty=0.1, lowest=0.1, highest=0.8)
    assert bounds["text"] == pytest.approx((0.55 - 0.4 / 4, 0.55 + 0.3 / 4))
    assert bounds["dos"] == pytest.approx((0.25 - 0.3 / 12, 0.25 + 0.4 / 12))


@pytest.mark.parametrize("absent", ["crystal", "dos+text", "crystal+dos+pxrd+text"])
def test_bounds_hold_the_exact_values(absent):
    worth = random_worth(3)
    exact = shapley_values(worth, empty=0.1)
    del worth[absent]
    for name, (low, high) in shapley_bounds(worth, empty=0.1, lowest=0, highest=1).items():
        assert low <= exact[name] <= high
        assert low < high


def test_worth_of_retrieval_counts_unanswered_pairs_as_chance():
    scores = {
        "dos+text": {"dos->text": np.array([[1.0, 1, 0, 0]]), "text->dos": np.array([[1.0, 1, 1, 0]])},
        "crystal+dos": {"crystal->dos": np.array([[1.0, 0, np.nan, np.nan]])},
    }
    worth, none = worth_of_retrieval(scores, resampling_weights(4, n_resamples=20, seed=0))
    assert none == pytest.approx((0.25 + 0.25 + 0.5) / 3)
    assert worth["dos+text"].value == pytest.approx((0.5 + 0.75 + 0.5) / 3)
    assert worth["crystal+dos"].value == pytest.approx((0.25 + 0.25 + 0.5) / 3)
    assert worth["pxrd"].value == none
    assert set(worth) == {"crystal", "dos", "pxrd", "text", "dos+text", "crystal+dos"}


def test_worth_of_nothing_is_refused():
    with pytest.raises(UnavailableError, match="no combination answers a pair"):
        worth_of_retrieval({}, resampling_weights(4, n_resamples=20, seed=0))


def test_shares_of_retrieval_add_up_and_lie_in_their_intervals():
    scores = hits()
    worth, none = worth_of_retrieval(scores, resampling_weights(40, n_resamples=200, seed=0))
    divided = shares(worth, empty=none)
    recall = np.mean([values.mean() for values in scores["crystal+dos+pxrd+text"].values()])
    assert sum(share.value for share in divided.values()) == pytest.approx(recall - 1 / 40)
    for share in divided.values():
        assert share.ci95[0] < share.value < share.ci95[1]


def test_an_interval_is_as_wide_as_its_standard_error():
    # One probe, only dos matters: its value is the accuracy with it, a binomial share.
    right = (np.random.default_rng(0).random((1, 500)) < 0.5).astype(float)
    scores = {
        combination.name: right if "dos" in combination.modalities else np.zeros((1, 500))
        for combination in all_combinations()
    }
    divided = shares(worth_of_probe(scores, resampling_weights(500, n_resamples=1000, seed=0)), empty=0.0)
    error = np.sqrt(right.mean() * (1 - right.mean()) / 500)
    assert divided["dos"].value == pytest.approx(right.mean())
    assert divided["dos"].ci95[1] - divided["dos"].ci95[0] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert divided["text"].ci95 == pytest.approx((0.0, 0.0), abs=1e-6)


def test_worth_of_a_probe_is_its_mean_where_known():
    scores = {"dos+text": np.array([[1.0, np.nan, 0.0], [1.0, np.nan, 1.0]])}
    worth = worth_of_probe(scores, resampling_weights(3, n_resamples=20, seed=0))["dos+text"]
    assert (worth.value, worth.trainings.tolist()) == (0.75, [0.5, 1.0])


def test_trainings_that_differ_widen_the_share_of_the_modality_that_they_differ_in():
    rng = np.random.default_rng(0)
    scores = {
        combination.name: (rng.random((3, 500)) < 0.5) + np.zeros((3, 500))
        if "dos" in combination.modalities
        else np.zeros((3, 500))
        for combination in all_combinations()
    }
    scores["dos"][0] = 1.0  # one training of one combination is far better
    weights = resampling_weights(500, n_resamples=500, seed=0)
    once = shares(worth_of_probe({name: of[1:2] for name, of in scores.items()}, weights), empty=0.0)
    divided = shares(worth_of_probe(scores, weights), empty=0.0)
    # v(dos) counts for dos by a quarter; its mean is of three, of which one is 0.5 higher.
    worths = scores["dos"].mean(axis=1)
    assert divided["dos"].value == pytest.approx(once["dos"].value + (worths.mean() - 0.5) / 4, abs=0.03)
    wider, narrower = (of["dos"].ci95[1] - of["dos"].ci95[0] for of in (divided, once))
    assert wider > 1.5 * narrower
