"""What Optuna's own tools see of a tuning in its storage, while it runs and afterwards."""

from __future__ import annotations

import threading

import optuna
import pytest

from matbind.base.errors import UserError
from matbind.base.provenance import process_fingerprint
from matbind.training.tuning.storage import EARLIER, VERDICT, StoredStudy
from matbind.training.tuning.study import Outcome, Study
from tests.training.tuning.tuning import START, made_up_recall, make_tune

GONE = process_fingerprint().rsplit(":", 2)[0] + ":1:1"  # a process of this machine that has ended


class Workspace:
    """A tuning of four trials in a directory, or in a database that it shares, driven step by step."""

    def __init__(self, directory, *, storage=None, name="a", seed=0, resume=False, **tune):
        self.tune = make_tune(trials=4, ahead=2, **tune)
        self.warnings = []
        self.stored = StoredStudy(storage, directory, name, facts={"data_md5": "12.dir"}, warn=self.warnings.append)
        earlier = self.stored.earlier(self.tune.space) if resume else []
        self.study = Study(self.tune, seed=seed, earlier=earlier)

    def begin(self, number):
        self.study.proposal(number)
        self.stored.begin([self.study.trial(n) for n in range(number + 1)])

    def report(self, number, *epochs):
        for epoch in epochs:
            self.stored.report(number, epoch, made_up_recall(self.study.proposal(number), epoch))

    def end(self, number, state="complete", reason=None):
        recalls = {epoch: made_up_recall(self.study.proposal(number), epoch) for epoch in (1, 2, 3)}
        self.study.settle(number, Outcome(state, {1: recalls[1]} if state == "pruned" else recalls, reason))
        self.stored.end(number, self.study.trial(number))

    def run(self, *numbers):
        for number in numbers:
            self.begin(number)
            self.report(number, 1, 2, 3)
            self.end(number)


def _seen(directory, name="a"):
    """Read the study as a dashboard does, from a connection of its own."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{directory}/optuna.db")


def _states(directory, name="a"):
    return [trial.state.name for trial in _seen(directory, name).trials]


def _set_process(directory, number, process, name="a"):
    storage = optuna.storages.RDBStorage(f"sqlite:///{directory}/optuna.db")
    study = storage.get_study_id_from_name(name)
    storage.set_trial_user_attr(storage.get_trial_id_from_study_id_trial_number(study, number), "process", process)


def test_a_running_trial_is_seen_with_its_epochs(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.begin(0)
    workspace.report(0, 1, 2)

    trial = _seen(tmp_path).trials[0]
    assert (trial.state.name, trial.params) == ("RUNNING", START)
    assert trial.intermediate_values == {epoch: made_up_recall(START, epoch) for epoch in (1, 2)}


def test_ended_trials_are_those_in_memory(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.run(0, 1)
    workspace.begin(2)
    workspace.end(2, "pruned")
    workspace.begin(3)
    workspace.end(3, "failed", "the loss is nan")

    trials = _seen(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert [trial.params for trial in trials] == [workspace.study.proposal(number) for number in range(4)]
    assert [trial.value for trial in trials[:2]] == [workspace.study.outcomes[number].value for number in (0, 1)]
    assert [trial.intermediate_values for trial in trials] == [
        outcome.recalls for outcome in workspace.study.outcomes.values()
    ]
    assert trials[3].user_attrs["reason"] == "the loss is nan"


def test_trials_have_their_numbers_though_the_later_begins_first(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.begin(1)
    workspace.begin(0)

    trials = _seen(tmp_path).trials
    assert [trial.params for trial in trials] == [workspace.study.proposal(number) for number in (0, 1)]


def test_what_a_killed_process_left_running_goes_on(tmp_path):
    killed = Workspace(tmp_path)
    killed.run(0)
    killed.begin(1)
    killed.report(1, 1)

    again = Workspace(tmp_path)
    again.end(0)  # read from its files
    again.run(1, 2, 3)

    assert _states(tmp_path) == ["COMPLETE"] * 4
    assert [trial.params for trial in _seen(tmp_path).trials] == [again.study.proposal(number) for number in range(4)]


def test_what_ended_while_nobody_wrote_it_down_is_added_from_the_files(tmp_path):
    workspace = Workspace(tmp_path)
    for number, state in enumerate(("complete", "complete", "complete", "pruned")):
        workspace.end(number, state)
    workspace.stored.conclude([workspace.study.trial(number) for number in range(4)], "The start values stay.")

    assert _states(tmp_path) == ["COMPLETE"] * 3 + ["PRUNED"]
    assert _seen(tmp_path).trials[3].value == made_up_recall(workspace.study.proposal(3), 1)  # as Optuna has it
    assert _seen(tmp_path).user_attrs == {"data_md5": "12.dir", VERDICT: "The start values stay."}


def test_a_second_pass_adds_nothing(tmp_path):
    Workspace(tmp_path).run(0, 1, 2, 3)
    again = Workspace(tmp_path)
    for number in range(4):
        again.end(number)
    again.stored.conclude([again.study.trial(number) for number in range(4)], "")

    assert _states(tmp_path) == ["COMPLETE"] * 4


def test_a_trial_that_failed_and_is_tried_again_is_another_attempt(tmp_path):
    failed = Workspace(tmp_path)
    failed.begin(0)
    failed.end(0, "failed", "its process was ended by signal 9")
    Workspace(tmp_path).run(0)

    assert _states(tmp_path) == ["FAIL", "COMPLETE"]
    assert [trial.user_attrs["trial"] for trial in _seen(tmp_path).trials] == [0, 0]


def test_two_workspaces_that_search_the_same_share_a_study(tmp_path):
    ann, ben = (Workspace(tmp_path / name, storage=f"sqlite:///{tmp_path}/optuna.db") for name in ("ann", "ben"))
    ann.begin(0)
    ben.begin(0)
    ann.report(0, 1, 2, 3)
    ann.end(0)
    ben.report(0, 1, 2, 3)
    ben.end(0)
    ann.run(1, 2, 3)
    ben.run(1, 2, 3)

    assert _states(tmp_path) == ["COMPLETE"] * 4
    assert [ann.warnings, ben.warnings] == [[], []]


def test_workspaces_that_begin_at_the_same_moment_complete_each_trial_once(tmp_path):
    storage, barrier = f"sqlite:///{tmp_path}/optuna.db", threading.Barrier(2)
    workspaces = [Workspace(tmp_path / name, storage=storage) for name in ("ann", "ben")]

    def run(workspace):
        barrier.wait()
        workspace.run(0, 1)

    threads = [threading.Thread(target=run, args=(workspace,)) for workspace in workspaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    trials = _seen(tmp_path).trials
    assert "RUNNING" not in _states(tmp_path)
    assert sorted(trial.user_attrs["trial"] for trial in trials if trial.state.name == "COMPLETE") == [0, 1]


def test_studies_of_another_name_stay(tmp_path):
    for name in ("a", "b"):
        Workspace(tmp_path, name=name).run(0, 1)

    assert _states(tmp_path, "a") == _states(tmp_path, "b") == ["COMPLETE"] * 2


def test_what_is_abandoned_in_another_study_failed(tmp_path):
    left = Workspace(tmp_path)
    left.begin(1)
    _set_process(tmp_path, 0, GONE)
    Workspace(tmp_path, name="b")

    assert _states(tmp_path) == ["FAIL", "RUNNING"]  # the second one's process lives


def test_earlier_trials_are_those_that_ended_in_the_same_space(tmp_path):
    first = Workspace(tmp_path)
    first.run(0, 1)
    first.begin(2)
    smaller = {**first.tune.model_dump()["space"], "model.temperature": {"start": 0.07, "low": 0.065, "high": 0.2}}
    fits = [n for n in (0, 1) if first.study.proposal(n)["model.temperature"] >= 0.065]

    assert Workspace(tmp_path, name="b", space=smaller, resume=True).study.n_earlier == len(fits) > 0
    assert (
        Workspace(
            tmp_path, name="c", space={"model.temperature": {"start": 0.07, "low": 0.01, "high": 0.3}}
        ).study.n_earlier
        == 0
    )


def test_a_study_that_is_taken_up_learns_from_the_same_earlier_trials(tmp_path):
    Workspace(tmp_path).run(0, 1)
    begun = Workspace(tmp_path, name="b", resume=True)
    Workspace(tmp_path, name="c", seed=1).run(0, 1)

    assert Workspace(tmp_path, name="b", resume=True).study.n_earlier == begun.study.n_earlier == 2
    assert _seen(tmp_path, "b").user_attrs[EARLIER] == [["a", 0], ["a", 1]]


def test_a_storage_that_stops_answering_costs_a_sentence_and_is_completed_at_the_end(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    workspace.run(0)
    with monkeypatch.context() as patch:

        def refuse(*_, **__):
            raise ConnectionError("the server closed the connection")

        patch.setattr(optuna.storages.RDBStorage, "set_trial_intermediate_value", refuse)
        workspace.run(1, 2)
    workspace.run(3)
    workspace.stored.conclude([workspace.study.trial(number) for number in range(4)], "")

    assert workspace.warnings == [
        "Optuna's storage does not answer, the trials go on without it: the server closed the connection"
    ]
    assert _states(tmp_path) == ["COMPLETE"] * 4
    assert all(len(trial.intermediate_values) == 3 for trial in _seen(tmp_path).trials)


def test_a_database_that_cannot_be_used_is_told(tmp_path):
    with pytest.raises(UserError, match=r"^params.yaml: tune.storage: the database cannot be used .*, expected"):
        Workspace(tmp_path, storage=f"sqlite:///{tmp_path}/missing/optuna.db")
