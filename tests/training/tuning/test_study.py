from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from matbind.training.tuning.study import Outcome, Study
from tests.training.tuning.tuning import START, made_up_recall, make_tune


def _run_trial(study, number, *, epochs=3, recall=made_up_recall):
    values, recalls = study.proposal(number), {}
    for epoch in range(1, epochs + 1):
        recalls[epoch] = recall(values, epoch)
        if study.is_hopeless(number, recalls):
            return study.settle(number, Outcome("pruned", recalls))
    return study.settle(number, Outcome("complete", recalls))


def _run(*, workers=1, seed=0, delay_seconds=0.0, earlier=(), **overrides):
    tune = make_tune(**overrides)
    study = Study(tune, seed=seed, earlier=earlier)
    run_trials(study, tune.trials, workers=workers, delay_seconds=delay_seconds)
    return study


def run_trials(study, n, *, workers=1, delay_seconds=0.0):
    def trial(number):
        time.sleep(delay_seconds * random.random())  # noqa: S311  # whichever ends first
        _run_trial(study, number)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(trial, range(n)))


def _all(study):
    return [(study.proposal(number), outcome) for number, outcome in study.outcomes.items()]


@pytest.fixture(scope="module")
def finished():
    return _run()


def test_trial_0_has_the_start_values(finished):
    assert finished.proposal(0) == START


def test_all_proposals_are_in_the_space_and_differ(finished):
    proposals = [finished.proposal(number) for number in range(10)]

    assert len({repr(proposal) for proposal in proposals}) == 10
    assert all(0.02 <= proposal["model.temperature"] <= 0.2 for proposal in proposals)
    assert {proposal["model.projection_dim"] for proposal in proposals} <= {64, 128, 256}


def test_the_first_proposals_fill_the_space():
    study = Study(make_tune(startup_trials=8, ahead=9), seed=0)
    temperatures = [study.proposal(number)["model.temperature"] for number in range(1, 9)]

    for low, high in ((0.02, 0.0356), (0.0356, 0.0633), (0.0633, 0.1125), (0.1125, 0.2)):  # quarters, logarithmic
        assert any(low <= temperature <= high for temperature in temperatures)


def test_whole_numbers_stay_whole():
    space = {"training.batch_size": {"start": 8, "low": 8, "high": 11}}
    study = Study(make_tune(space=space, startup_trials=12, ahead=13), seed=0)
    sizes = {study.proposal(number)["training.batch_size"] for number in range(10)}

    assert sizes == {8, 9, 10, 11}
    assert all(isinstance(size, int) for size in sizes)


def test_the_same_study_twice(finished):
    assert _all(_run()) == _all(finished)


@pytest.mark.parametrize("workers", [2, 4])
def test_trials_at_a_time_and_who_ends_first_change_nothing(finished, workers):
    assert _all(_run(workers=workers, delay_seconds=0.05)) == _all(finished)


def test_another_seed_proposes_something_else(finished):
    assert _run(seed=1).proposal(1) != finished.proposal(1)


def test_more_trials_begin_with_the_same(finished):
    assert _all(_run(trials=12))[:10] == _all(finished)


def test_the_estimator_learns():
    study = _run(trials=25, ahead=1)
    late = [study.proposal(number) for number in range(15, 25)]

    assert sum(proposal["model.projection_dim"] == 256 for proposal in late) >= 6


def test_hopeless_trials_are_given_up(finished):
    states = [outcome.state for outcome in finished.outcomes.values()]

    assert states[:3] == ["complete"] * 3
    assert "pruned" in states
    for outcome in finished.outcomes.values():
        assert (len(outcome.recalls) < 3) <= (outcome.state == "pruned")


def test_the_pruner_looks_only_at_the_trials_a_proposal_knew():
    study = Study(make_tune(ahead=2, pruner={"startup_trials": 1, "warmup_epochs": 1}), seed=0)
    study.settle(0, Outcome("complete", {1: 0.9}))

    assert not study.is_hopeless(1, {1: 0.1})  # proposed together with trial 0
    assert study.is_hopeless(2, {1: 0.1})


def test_the_pruner_waits_for_its_first_epoch():
    study = Study(make_tune(ahead=1, pruner={"startup_trials": 1, "warmup_epochs": 2}), seed=0)
    study.settle(0, Outcome("complete", {1: 0.9, 2: 0.9}))

    assert not study.is_hopeless(1, {1: 0.1})
    assert study.is_hopeless(1, {1: 0.1, 2: 0.1})


def test_a_proposal_waits_for_the_trials_it_learns_from():
    study = Study(make_tune(ahead=2), seed=0)
    arrived = threading.Event()
    waiting = threading.Thread(target=lambda: (study.proposal(2), arrived.set()), daemon=True)
    waiting.start()
    study.settle(1, Outcome("complete", {1: 0.5}))

    assert not arrived.wait(0.2)
    study.settle(0, Outcome("complete", {1: 0.5}))
    assert arrived.wait(10)


def test_who_waits_is_told_that_the_study_ended():
    study = Study(make_tune(ahead=1), seed=0)
    study.stop(RuntimeError("the disk is full"))

    with pytest.raises(RuntimeError, match="the disk is full"):
        study.proposal(1)


def test_a_failed_trial_is_no_result():
    study = Study(make_tune(ahead=1, trials=2), seed=0)
    study.settle(0, Outcome("failed", {1: 0.5}, "diverged"))
    _run_trial(study, 1)

    assert [trial.state.name for trial in study.finished().get_trials()] == ["FAIL", "COMPLETE"]


@pytest.mark.parametrize("recalls", [{}, {1: float("nan")}, {1: 0.5, 2: float("inf")}])
def test_a_trial_without_a_finite_recall_is_not_complete(recalls):
    with pytest.raises(ValueError, match="finite recalls"):
        Outcome("complete", recalls)


def test_importance_is_shared_among_the_settings(finished):
    shares = finished.importance()

    assert set(shares) == set(START)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares == finished.importance()


def test_too_few_or_equal_trials_tell_no_importance():
    assert _run(trials=4, startup_trials=0).importance() == {}

    study = Study(make_tune(trials=6, ahead=6), seed=0)
    for number in range(6):
        study.settle(number, Outcome("complete", {1: 0.5}))
    assert study.importance() == {}


def test_the_trials_are_those_of_optuna(finished):
    trials = [finished.trial(number) for number in range(10)]

    assert [trial.params for trial in trials] == [finished.proposal(number) for number in range(10)]
    assert [trial.value for trial in trials if trial.state.name == "COMPLETE"] == [
        outcome.value for outcome in finished.outcomes.values() if outcome.state == "complete"
    ]


def test_a_trial_that_has_not_ended_is_running():
    trial = Study(make_tune(), seed=0).trial(1)

    assert (trial.state.name, trial.params.keys()) == ("RUNNING", START.keys())


def test_earlier_trials_inform_the_proposals_and_are_none_of_its_own(finished):
    study = _run(seed=1, earlier=finished.finished().trials)

    assert study.n_earlier == len(study.outcomes) == 10
    assert study.proposal(0) == START
    uninformed = _run(seed=1)
    assert [study.proposal(number) for number in range(5, 10)] != [uninformed.proposal(n) for n in range(5, 10)]
