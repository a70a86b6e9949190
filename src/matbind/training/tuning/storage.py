"""The study in Optuna's storage, where `optuna-dashboard` and Optuna's other tools see it while it runs.

It is a record: what is tried next, and what came of it, is decided in memory (`study.py`). Its name says all that the
result depends on, so two workspaces that search the same share one study, and none is ever deleted. A trial is in it
once: a workspace that runs the same trial joins it, and a process that takes up the work of a killed one goes on with
the trial that was left running.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from matbind.base.errors import UserError
from matbind.base.provenance import is_gone, process_fingerprint
from matbind.settings.tune import Parameter

DATABASE = "optuna.db"
METRIC = "validation recall@1"
NUMBER, PROCESS = "trial", "process"  # attributes of a trial: its number in the tuning, and what runs it
EARLIER, VERDICT = "earlier", "verdict"  # of a study: which trials of others it learned from, and what it came to


Arguments = ParamSpec("Arguments")


def _recorded(
    write: Callable[Concatenate[StoredStudy, Arguments], None],
) -> Callable[Concatenate[StoredStudy, Arguments], None]:
    """Let one thread write at a time, and nobody suffer from a storage that does not answer."""

    @wraps(write)
    def record(self: StoredStudy, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        with self._lock:
            if not self._answers:
                return
            try:
                write(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  # every driver raises its own
                self._answers = False
                self._warn(f"Optuna's storage does not answer, the trials go on without it: {_first_line(error)}")

    return record


class StoredStudy:
    """Takes in how trials begin, go on and end, from any thread.

    A storage that stops answering costs one sentence; what is missing is added when the tuning ends.
    """

    def __init__(
        self, storage: str | None, directory: Path, name: str, *, facts: Mapping[str, Any], warn: Callable[[str], None]
    ) -> None:
        """Make the study, or join the one of this name.

        Args:
            storage: address of a database; by default a file in the directory.
            directory: of the tuning.
            name: of the study.
            facts: attributes of the study.
            warn: is given the sentence if the storage stops answering.

        Raises:
            UserError: if the storage cannot be used.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directory.mkdir(parents=True, exist_ok=True)
        self._optuna, self._state, self._warn = optuna, optuna.trial.TrialState, warn
        self._lock, self._answers = threading.Lock(), True
        self._stored: dict[int, int | None] = {}  # number in the storage of those that run; None for others
        try:
            self._storage = optuna.storages.RDBStorage(storage or f"sqlite:///{directory / DATABASE}")
            self._study = optuna.create_study(
                direction="maximize", study_name=name, storage=self._storage, load_if_exists=True
            )
            self._id = self._storage.get_study_id_from_name(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.set_metric_names([METRIC])
            for key, value in facts.items():
                self._study.set_user_attr(key, value)
            self._fail_abandoned()
        except Exception as error:  # every driver raises its own
            raise UserError(
                f"params.yaml: tune.storage: the database cannot be used ({_first_line(error)}), expected null or the "
                "address of one that runs, such as postgresql+psycopg://matbind@127.0.0.1/optuna"
            ) from error

    def earlier(self, space: Mapping[str, Parameter]) -> list[Any]:
        """Return the ended trials of other studies that fit a space: the same ones whenever this study is taken up."""
        ended = (self._state.COMPLETE, self._state.PRUNED)
        trials = {
            (study.study_name, trial.number): trial
            for study in self._others()
            for trial in study.get_trials(deepcopy=False, states=ended)
            if trial.params.keys() == space.keys()
            and all(space[name].holds(value) for name, value in trial.params.items())
        }
        chosen = self._study.user_attrs.get(EARLIER)
        if chosen is None:
            chosen = [list(key) for key in trials]
            self._study.set_user_attr(EARLIER, chosen)
        return [trials[name, number] for name, number in chosen if (name, number) in trials]

    @_recorded
    def begin(self, trials: Sequence[Any]) -> None:
        """Show the last of these trials as running, and the others if they are not there, so that numbers agree."""
        for number, trial in enumerate(trials):
            if number not in self._stored:
                stored = self._joined(number, trial)
                if stored is None and self._states(number, trial) <= {self._state.FAIL}:
                    stored = self._added(number, trial)
                self._stored[number] = stored

    @_recorded
    def report(self, number: int, epoch: int, recall: float) -> None:
        """Add the recall of an epoch to a trial that was begun."""
        if math.isfinite(recall) and (stored := self._stored.get(number)) is not None:
            with suppress(self._optuna.exceptions.UpdateFinishedTrialError):  # another workspace was quicker
                self._storage.set_trial_intermediate_value(self._key(stored), epoch, recall)

    @_recorded
    def end(self, number: int, trial: Any) -> None:
        """Take in how a trial ended, unless the storage says so already."""
        self._end(number, trial)

    def conclude(self, trials: Sequence[Any], verdict: str) -> None:
        """Add what is missing of all trials, and in a sentence what they came to."""
        self._answers = True
        self._conclude(trials, verdict)

    @_recorded
    def _conclude(self, trials: Sequence[Any], verdict: str) -> None:
        for number, trial in enumerate(trials):
            self._end(number, trial)
        self._study.set_user_attr(VERDICT, verdict)

    def _end(self, number: int, trial: Any) -> None:
        if number not in self._stored:
            self._stored[number] = self._joined(number, trial)
        stored = self._stored[number]
        if stored is None:
            states = self._states(number, trial)
            if trial.state in states or states - {self._state.FAIL}:
                return
            stored = self._added(number, trial)
        if stored is None:
            return
        key = self._key(stored)
        reported = self._storage.get_trial(key).intermediate_values
        with suppress(self._optuna.exceptions.UpdateFinishedTrialError):  # another workspace was quicker
            for epoch in trial.intermediate_values.keys() - reported.keys():
                self._storage.set_trial_intermediate_value(key, epoch, trial.intermediate_values[epoch])
            for name, value in trial.user_attrs.items():
                self._storage.set_trial_user_attr(key, name, value)
            self._study.tell(stored, trial.value, state=trial.state, skip_if_finished=True)
        self._stored[number] = None

    def _added(self, number: int, trial: Any) -> int | None:
        """Add a trial that runs, and join it or the same one of another workspace."""
        added = self._optuna.trial.create_trial(
            state=self._state.RUNNING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={NUMBER: number, PROCESS: process_fingerprint()},
        )
        self._study.add_trial(added)
        return self._joined(number, trial)

    def _joined(self, number: int, trial: Any) -> int | None:
        """Return the number of the trial in the storage if it is running there, and run it from now on."""
        attempts = [other for other in self._alike(number, trial) if other.state != self._state.FAIL]
        here = process_fingerprint()
        for other in attempts[1:]:
            if not other.state.is_finished() and other.user_attrs[PROCESS] == here:
                # Another workspace began it at the same moment.
                self._fail(self._study, other.number)
        if not attempts or attempts[0].state.is_finished():
            return None
        first = attempts[0]
        try:
            self._storage.set_trial_user_attr(self._key(first.number), PROCESS, here)
        except self._optuna.exceptions.UpdateFinishedTrialError:  # another workspace ended it since
            return None
        return int(first.number)

    def _states(self, number: int, trial: Any) -> set[Any]:
        return {other.state for other in self._alike(number, trial)}

    def _alike(self, number: int, trial: Any) -> list[Any]:
        """Return what the storage has of a trial; more than one if an attempt failed."""
        return [
            other
            for other in self._study.get_trials(deepcopy=False)
            if other.user_attrs.get(NUMBER) == number and other.params == trial.params
        ]

    def _key(self, stored: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, stored)

    def _others(self) -> Iterator[Any]:
        for name in self._optuna.get_all_study_names(self._storage):
            if name != self._study.study_name:
                study = self._optuna.load_study(study_name=name, storage=self._storage)
                if study.directions == self._study.directions:
                    yield study

    def _fail_abandoned(self) -> None:
        """Fail what processes of this machine that are gone left running in other studies."""
        for study in self._others():
            for trial in study.get_trials(deepcopy=False, states=(self._state.RUNNING,)):
                if is_gone(trial.user_attrs.get(PROCESS, "")):
                    self._fail(study, trial.number)

    def _fail(self, study: Any, number: int) -> None:
        with suppress(self._optuna.exceptions.UpdateFinishedTrialError):  # it ended at this moment
            study.tell(number, state=self._state.FAIL, skip_if_finished=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
