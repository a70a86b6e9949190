"""A tuning from the first proposal to the choice: trials in processes of their own, kept, and taken up again."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.errors import StageError, UserError
from matbind.base.files import FEATURES, LOGS, TUNING_METRICS, read_json, write_json
from matbind.base.model_files import CHECKPOINT, TRAINED, WEIGHTS
from matbind.modalities.combinations import Combination
from matbind.settings.params import Settings
from matbind.tracking.tuning import TuningTracker
from matbind.training.ablation import in_order
from matbind.training.combination import fingerprint
from matbind.training.model import open_stores
from matbind.training.progress_log import ProgressLog, cost
from matbind.training.trainer import recalls_of
from matbind.training.trainer_process import TrainingError, train_in_process
from matbind.training.tuning.choice import START, best_of, gain_over_start
from matbind.training.tuning.result import comments, figures, short, verdict
from matbind.training.tuning.space import (
    TUNED,
    Values,
    apply_values,
    check_space,
    combination_of,
    trial_values,
    write_tuned,
)
from matbind.training.tuning.storage import StoredStudy
from matbind.training.tuning.study import Outcome, Study
from matbind.training.tuning.trial import (
    GIVEN,
    PRUNED,
    TEST,
    VALIDATION_RECALL,
    prepare_directory,
    read_hits,
    read_if_of,
)

TUNING = Path("artifacts/tuning")
TRIALS = "trials"
REPORTS = Path("reports/tuning")
DIGEST_CHARACTERS, SHORT_DIGEST = 32, 12
_FREE = {"enabled", "trials", "workers", "retries", "storage", "confidence"}  # change nothing of a trial


OnEpoch = Callable[[dict[str, float]], None]


class Tuning:
    """One pass over the trials of a study; `trial` may be called by several threads.

    The study is begun again each time, and is told what is on file before anything is trained. So a stage that was
    killed goes on to the result it would have had, and one with more trials than the last goes on from there.
    """

    def __init__(
        self, settings: Settings, *, log: Callable[[str], None], train: Callable[..., None] = train_in_process
    ) -> None:
        """Check the space and begin the study.

        Args:
            settings: all settings; `tune` says what is searched.
            log: is told the progress in sentences.
            train: runs one trial.

        Raises:
            UserError: if the features are missing or cut short, or the space is not one of the settings.
        """
        open_stores(FEATURES)  # says what is missing before anything starts
        tune = settings.tune
        self.combination = combination_of(settings, tune)
        check_space(settings, tune)
        # What params.yaml gives the settings that are searched is no matter of the trials, nor of their record.
        settings = apply_values(settings, tune.start, source="tune.space")
        self._settings, self._tune, self._log, self._train = settings, tune, log, train
        digest = self._fingerprint()
        self._name = f"{settings.preset} {self.combination.name} {digest[:SHORT_DIGEST]}"
        self._tracker = TuningTracker(warn=log)
        self._parent = self._tracker.start_tuning(settings, self.combination, fingerprint=digest)
        origin = self._tracker.origin
        facts = {"data_md5": origin.data_md5 or "unknown", "git_commit": origin.code or "unknown"}
        self._stored = StoredStudy(tune.storage, TUNING, self._name, facts=facts, warn=log)
        earlier = self._stored.earlier(tune.space) if tune.resume else []
        self.study = Study(tune, seed=settings.seed, earlier=earlier)
        self._progress = ProgressLog([_in_words(n) for n in range(tune.trials)], epochs=tune.epochs, log=log)
        log(_announcement(settings, self.combination))
        self._directories: dict[int, Path] = {}
        self._crashed: set[int] = set()
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        if self.study.n_earlier:
            log(f"{self.study.n_earlier} trials of earlier studies inform the proposals")

    def trial(self, number: int, *, is_last_try: bool = True) -> None:
        """Run one trial when it is its turn, or see how it ended before.

        Args:
            number: of the trial; lower ones have to be run before or at the same time.
            is_last_try: whether a process that fails makes a failed trial, and not an error to try again after.

        Raises:
            UserError: if its process found a mistake of the user's.
            TrainingError: if its process failed and this was not the last try.
        """
        values = self.study.proposal(number)
        try:
            self._settle(number, values, is_last_try=is_last_try)
        except TrainingError:
            raise
        except BaseException as error:
            self.study.stop(error)  # no other trial would fare better, and some wait for this one
            raise

    def to_evaluate(self) -> list[int]:
        """Return the trials that test is evaluated with: the first, and the best.

        Raises:
            StageError: if no trial finished or the process of the first failed.
        """
        complete = self._complete()
        if not complete or START in self._crashed:
            which = "no trial finished" if not complete else "trial 0, the start, failed"
            reason = self.study.outcomes[START].reason
            raise StageError(f"{which}: {reason}; the same command tries it again")
        return sorted({START, best_of(complete)} & complete.keys())

    def evaluate(self, number: int) -> None:
        """Evaluate the weights a trial ended with on the test split, once."""
        directory = self._directories[number]
        if read_if_of(directory / TEST, read_json(directory / GIVEN)["fingerprint"]) is None:
            if not (directory / WEIGHTS).exists():  # removed after an earlier pass over fewer or more trials
                self._start(number, "train")
            self._start(number, "test")

    def result(self) -> dict[str, Any]:
        """Choose, and return the content of metrics/tuning.json; nothing in it depends on when it was made."""
        settings, tune, complete = self._settings, self._tune, self._complete()
        n_resamples, origin = settings.evaluation.bootstrap_resamples, self._tracker.origin
        hits = {number: read_hits(self._directories[number]) for number in complete}
        best = best_of(complete)
        gain = None
        if START in complete and len(complete) > 1:
            by_trial = {number: np.stack(list(pairs.values())) for number, pairs in hits.items()}
            gain = gain_over_start(by_trial, n_resamples=n_resamples, seed=settings.seed)
        return {
            "enabled": True,
            "preset": settings.preset,
            "seed": settings.seed,
            "study": self._name,
            "data_md5": origin.data_md5,
            "git_commit": origin.code,
            "combination": self.combination.name,
            "epochs": tune.epochs,
            "space": {name: parameter.described() for name, parameter in tune.space.items()},
            "choices": {name: parameter.choices for name, parameter in tune.space.items()},
            "n_earlier": self.study.n_earlier,
            "n_materials": next(iter(next(iter(hits.values())).values())).shape[-1],
            "n_resamples": n_resamples,
            "best": best,
            "chosen": best if gain is None or gain.confidence >= tune.confidence else START,
            "gain": None if gain is None else {**asdict(gain), "interval95": list(gain.interval95)},
            "confidence_required": tune.confidence,
            "start": self._side(START, hits),
            "best_trial": self._side(best, hits),
            "importance": self.study.importance(),
            "trials": [
                {
                    "number": number,
                    "state": outcome.state,
                    "values": self.study.proposal(number),
                    "recall_at_1": max(outcome.recalls.values(), default=None),
                    "recalls": {str(epoch): recall for epoch, recall in outcome.recalls.items()},
                    "reason": outcome.reason,
                }
                for number, outcome in self.study.outcomes.items()
            ],
        }

    def finish(self, result: Mapping[str, Any], pages: Iterable[Path]) -> None:
        """Write metrics and tuned.yaml, end the tracked run, and remove what no other pass needs.

        Args:
            result: of :meth:`result`.
            pages: reports and figures, kept with the tracked run.
        """
        chosen = self.study.proposal(result["chosen"]) if result["chosen"] != START else {}
        _write(result, chosen, preset=self._settings.preset, start=self._tune.start)
        files = [TUNING_METRICS, TUNED, *pages]
        self._stored.conclude([self.study.trial(number) for number in self.study.outcomes], verdict(result))
        self._tracker.finish_tuning(self._parent, figures(result), files, note=verdict(result))
        kept = {directory.name for directory in self._directories.values()}
        for directory in (TUNING / TRIALS).iterdir():
            if directory.name in kept:
                (directory / WEIGHTS).unlink(missing_ok=True)  # all has been written down of them
            else:
                shutil.rmtree(directory)
        self._log(verdict(result))

    def _settle(self, number: int, values: Values, *, is_last_try: bool) -> None:
        laid_over = trial_values(self._tune, values)
        try:
            settings = apply_values(self._settings, laid_over, source="tune.space")
        except UserError as error:  # each value is allowed, which was checked, but not these together
            self._end(number, Outcome("failed", reason=str(error)))
            self._progress.finish(_in_words(number), f"not possible: {error}")
            return
        digest = fingerprint(settings, self.combination, settings.seed, FEATURES)
        directory = self._directories[number] = TUNING / TRIALS / digest[:DIGEST_CHARACTERS]
        run_id = self._tracker.start_trial(self._parent, number, settings, self.combination)
        history: list[dict[str, float]] = []
        with self._locks[directory]:  # two trials may propose the same
            prepare_directory(directory, digest, laid_over)
            try:
                outcome = self._outcome(number, digest, history)
            except TrainingError as error:
                if not is_last_try:
                    self._progress.say(f"{_in_words(number)} failed and is tried again: {error}")
                    raise
                self._crashed.add(number)
                outcome = Outcome("failed", _recalls(history), str(error))
        reached = {"best_validation_recall_at_1": outcome.value} if outcome.state == "complete" else {}
        self._tracker.finish_trial(run_id, outcome.state, history=history, figures=reached, reason=outcome.reason)
        self._progress.finish(_in_words(number), _ending(outcome, values))
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        self.study.settle(number, outcome)
        self._stored.end(number, self.study.trial(number))

    def _outcome(self, number: int, digest: str, history: list[dict[str, float]]) -> Outcome:
        """Go through a trial's epochs, first those on file; the pruner may end it after each but the last."""
        directory = self._directories[number]

        def on_epoch(figures: dict[str, float]) -> None:
            history.append(figures)
            for epoch, recall in _recalls([figures]).items():
                self._stored.report(number, epoch, recall)
            self._progress.epoch(_in_words(number), figures)
            if len(history) < self._tune.epochs and self.study.is_hopeless(number, _recalls(history)):
                raise _Hopeless

        trained = read_if_of(directory / TRAINED, digest)
        on_file = trained or read_if_of(directory / PRUNED, digest) or {"history": []}
        try:
            for figures in on_file["history"]:
                on_epoch(figures)
            if trained is None:
                history.clear()
                self._stored.begin([self.study.trial(n) for n in range(number + 1)])
                self._start(number, "train", on_epoch=on_epoch)
                trained = read_json(directory / TRAINED)
        except _Hopeless:
            write_json(directory / PRUNED, {"fingerprint": digest, "history": history})
            (directory / CHECKPOINT).unlink(missing_ok=True)
            return Outcome("pruned", _recalls(history))
        if trained["diverged"]:
            return Outcome("failed", _recalls(history), trained["diverged"])
        return Outcome("complete", _recalls(history))

    def _start(self, number: int, what: str, *, on_epoch: OnEpoch = lambda _: None) -> None:
        program = ("matbind.training.tuning.trial", str(self._directories[number]), what)
        self._train(self.combination.name, log=LOGS / "tune" / f"{number}.log", on_epoch=on_epoch, program=program)

    def _side(self, number: int, hits: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        """Return values and recall on both splits of one of the two trials that are compared."""
        side = {"number": number, "values": self.study.proposal(number)}
        if number not in hits:
            return {**side, "validation_recall_at_1": None, "test_recall_at_1": None}
        pairs, test = recalls_of(hits[number]), read_json(self._directories[number] / TEST)["pairs"]
        return {
            **side,
            "validation_recall_at_1": float(np.mean(list(pairs.values()))),
            "test_recall_at_1": float(np.mean(list(test.values()))),
            "validation_pairs": pairs,
            "test_pairs": test,
        }

    def _complete(self) -> dict[int, float]:
        """Return the recall of every trial that finished, by its number."""
        return {number: outcome.value for number, outcome in self.study.outcomes.items() if outcome.state == "complete"}

    def _fingerprint(self) -> str:
        """Return a digest of all that the result depends on but the number of trials: more are the same study."""
        import optuna

        searched = self._tune.model_dump(mode="json", exclude=_FREE)
        first = apply_values(self._settings, trial_values(self._tune, self._tune.start), source="tune.space")
        content = [fingerprint(first, self.combination, first.seed, FEATURES), searched, optuna.__version__]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:DIGEST_CHARACTERS]


class _Hopeless(Exception):  # noqa: N818  # it is no error: the pruner ends a trial, and its process with it
    """Raised where the figures of an epoch arrive, to leave the trial there."""


def switch_off(settings: Settings, *, log: Callable[[str], None]) -> dict[str, Any]:
    """Write what the next stages read where nothing is tuned.

    Returns:
        The content of metrics/tuning.json.
    """
    TUNING.mkdir(parents=True, exist_ok=True)
    result = {"enabled": False}
    _write(result, {}, preset=settings.preset, start={})
    log(verdict(result))
    return result


def _write(result: Mapping[str, Any], chosen: Values, *, preset: str, start: Values) -> None:
    write_json(TUNING_METRICS, result)
    write_tuned(TUNED, chosen, preset=preset, start=start, comments=comments(result))


def _recalls(history: Iterable[Mapping[str, float]]) -> dict[int, float]:
    return {int(figures["epoch"]): figures[VALIDATION_RECALL] for figures in history if VALIDATION_RECALL in figures}


def _announcement(settings: Settings, combination: Combination) -> str:
    """Say how long the tuning is, in units of what follows it: no time is known before the first epoch."""
    tune = settings.tune
    ablation = settings.training.epochs * sum(cost(t.combination.name) for t in in_order(settings).values())
    share = tune.trials * tune.epochs * cost(combination.name) / ablation
    return (
        f"up to {tune.trials} trials of {tune.epochs} epochs, together about {share:.1f} times as long as the "
        "trainings after it take (how long, the first trials say); tune.enabled: false in params.yaml, or "
        "`dvc exp run -S tune.enabled=false`, leaves it out"
    )


def _in_words(number: int) -> str:
    return f"trial {number}" if number else "trial 0 (start)"


def _ending(outcome: Outcome, values: Values) -> str:
    which = ", ".join(f"{name} {short(value)}" for name, value in values.items())
    if outcome.state == "failed":
        return f"failed ({outcome.reason}); {which}"
    recall = max(outcome.recalls.values())
    how = "" if outcome.state == "complete" else f", given up after epoch {max(outcome.recalls)}"
    return f"validation recall@1 {recall:.3f}{how}; {which}"
