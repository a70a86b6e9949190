from __future__ import annotations

import numpy as np
import pytest

from matbind.training.tuning.choice import best_of, gain_over_start

N = 200


def _hits(share, *, seed, pairs=2):
    return (np.random.default_rng(seed).random((pairs, N)) < share).astype(float)


def _gain(hits):
    return gain_over_start(hits, n_resamples=500, seed=0)


def test_the_first_of_the_best():
    assert best_of({0: 0.5, 3: 0.7, 2: 0.7}) == 2


def test_a_gain_by_hand():
    start = np.array([[1, 0, 0, 0], [1, 1, np.nan, np.nan]])  # recall 1/4 and 2/2
    other = np.array([[1, 1, 1, 0], [1, 0, np.nan, np.nan]])  # recall 3/4 and 1/2
    best = np.array([[1, 1, 0, 0], [1, 1, np.nan, np.nan]])  # recall 2/4 and 2/2

    assert _gain({0: start, 1: other, 2: best}).measured == pytest.approx((0.5 + 1) / 2 - (0.25 + 1) / 2)


def test_a_real_gain_is_believed():
    gain = _gain({0: _hits(0.4, seed=0), 1: _hits(0.7, seed=1)})

    assert gain.confidence > 0.99
    assert gain.expected == pytest.approx(0.3, abs=0.07)
    assert gain.interval95[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_luckiest_of_many_alike_is_not(seed):
    gain = _gain({number: _hits(0.5, seed=100 * seed + number) for number in range(15)})

    assert gain.expected < gain.measured or gain.measured == 0
    assert gain.confidence < 0.95


def test_equal_trials_gain_nothing():
    gain = _gain({0: _hits(0.5, seed=0), 4: _hits(0.5, seed=0)})

    assert (gain.measured, gain.expected, gain.interval95, gain.confidence) == (0.0, 0.0, (0.0, 0.0), 0.0)


def test_the_same_seed_gives_the_same_figures():
    hits = {0: _hits(0.5, seed=0), 1: _hits(0.6, seed=1)}

    assert _gain(hits) == _gain(hits)


def test_two_materials_are_enough_to_be_asked():
    assert _gain({0: np.zeros((1, 2)), 1: np.ones((1, 2))}).measured == 1.0


def test_without_trial_0_there_is_no_comparison():
    with pytest.raises(ValueError, match="trial 0"):
        _gain({1: np.zeros((1, 2))})


def test_trials_have_the_same_materials():
    with pytest.raises(ValueError, match="shapes of hits differ"):
        _gain({0: np.zeros((1, 2)), 1: np.zeros((1, 3))})
