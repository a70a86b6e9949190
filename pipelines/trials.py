"""The trials of a tuning, from the first proposal to the choice: what the tasks of the tune stage do."""

from __future__ import annotations

import getpass
import hashlib
import json
import shutil
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.errors import StageError, UserError
from matbind.base.files import FEATURES, LOGS, TUNING_METRICS, read_json, write_json, written_whole
from matbind.base.model_files import CHECKPOINT, TRAINED, WEIGHTS
from matbind.modalities.store import Store
from matbind.report.tuning import comments, document, figures, space_in_words, verdict
from matbind.report.tuning_plots import draw, write_page
from matbind.settings.params import Settings
from matbind.settings.tune import TuneSettings
from matbind.tracking.tuning import TuningTracker
from matbind.training.tuning.choice import DEFAULTS, best_of, gain_over_defaults
from matbind.training.tuning.space import (
    TUNED,
    Values,
    apply_values,
    combination_of,
    defaults_of,
    trial_values,
    write_tuned,
)
from matbind.training.tuning.study import Outcome, Study
from matbind.training.tuning.trial import (
    GIVEN,
    PRUNED,
    TEST,
    VALIDATION_RECALL,
    claim,
    fingerprint,
    read_hits,
    read_if_of,
    recalls_of,
)
from pipelines.progress import Progress
from pipelines.trainers import TrainingError, train_in_process

TUNING = Path("artifacts/tuning")
JOURNAL, TRIALS = "journal.log", "trials"
REPORTS = Path("reports/tuning")
MARK_CHARACTERS = 32


class TuningRun:
    """One pass over the trials: what Prefect's tasks do, without Prefect.

    The study is begun again each time, and told of what is on file before anything is trained. So a stage that was
    killed goes on to the result it would have had, and one with more trials than the last goes on from there.
    """

    def __init__(
        self,
        settings: Settings,
        own: TuneSettings,
        *,
        log: Callable[[str], None],
        train: Callable[..., None] = train_in_process,
    ) -> None:
        """Check the space and begin the study.

        Raises:
            UserError: if the features are missing or cut short, or the space is not one of the settings.
        """
        for name in settings.modalities:
            Store(FEATURES / name)
        self.combination = combination_of(settings, own)
        self._defaults = defaults_of(settings, own)
        self._settings, self._own, self._log, self._train = settings, own, log, train
        self._name = self._study_name()
        self._tracker = TuningTracker(warn=log)
        self._parent = self._tracker.start_tuning(settings, self.combination, mark=self._name)
        self.study = Study(own, self._defaults, seed=settings.seed, journal=TUNING / JOURNAL, name=self._kept_as())
        names = [_in_words(number) for number in range(own.trials)]
        self._progress = Progress(names, epochs=own.epochs, log=log)
        self._homes: dict[int, Path] = {}
        self._crashed: set[int] = set()
        self._in_use: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
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
        """The trials that test is evaluated with: the defaults, and the best.

        Raises:
            StageError: if no trial finished or the process of the defaults failed.
        """
        complete = self._complete()
        if not complete or DEFAULTS in self._crashed:
            outcome = self.study.outcomes[DEFAULTS]
            which = "no trial finished" if not complete else "the trial of the defaults failed"
            raise StageError(f"{which}: {outcome.reason}; the same command tries it again")
        best = best_of({number: outcome.value for number, outcome in complete.items()})
        return sorted({number for number in (DEFAULTS, best) if number in complete})

    def evaluate(self, number: int) -> None:
        """Evaluate the weights a trial ended with on the test split, once."""
        home = self._homes[number]
        mark = read_json(home / GIVEN)["fingerprint"]
        if read_if_of(home / TEST, mark) is None:
            if not (home / WEIGHTS).exists():  # removed after an earlier pass over fewer or more trials
                self._start(number, "train", on_epoch=lambda _: None)
            self._start(number, "test", on_epoch=lambda _: None)

    def finish(self) -> dict[str, Any]:
        """Choose, write reports, metrics and tuned.yaml, and remove what no other pass needs.

        Returns:
            The content of metrics/tuning.json.
        """
        found = self._found()
        study = self.study.finished()
        drawn = draw(found, REPORTS)
        page = write_page(found, study, REPORTS / "tuning.html")
        text = REPORTS / "tuning.md"
        _write_text(text, document(found))
        write_json(TUNING_METRICS, found)
        chosen = next(trial["values"] for trial in found["trials"] if trial["number"] == found["chosen"])
        write_tuned(
            TUNED,
            chosen if found["chosen"] != DEFAULTS else {},
            preset=self._settings.preset,
            comments=comments(found),
        )
        files = [TUNING_METRICS, TUNED, text, page, *drawn]
        self._tracker.finish_tuning(self._parent, figures(found), files, note=verdict(found))
        self._tidy()
        self._log(verdict(found))
        return found

    def _settle(self, number: int, values: Values, *, is_last_try: bool) -> None:
        try:
            settings = apply_values(self._settings, trial_values(self._own, values), source="tune.space")
        except UserError as error:  # each value is allowed, which was checked, but not these together
            self.study.settle(number, Outcome("failed", reason=str(error)))
            self._progress.finish(_in_words(number), f"not possible: {error}")
            return
        mark = fingerprint(settings, self.combination, FEATURES)
        home = self._homes[number] = TUNING / TRIALS / mark[:MARK_CHARACTERS]
        run_id = self._tracker.start_trial(self._parent, number, settings, self.combination)
        history: list[dict[str, float]] = []
        with self._in_use[home]:  # two trials may propose the same
            claim(home, mark, trial_values(self._own, values))
            try:
                outcome = self._outcome(number, home, mark, history)
            except TrainingError as error:
                if not is_last_try:
                    self._progress.say(f"{_in_words(number)} failed and is tried again: {error}")
                    raise
                self._crashed.add(number)
                outcome = Outcome("failed", _recalls(history), str(error))
        told = {"best_validation_recall_at_1": outcome.value} if outcome.state == "complete" else {}
        self._tracker.finish_trial(run_id, outcome.state, history=history, figures=told, reason=outcome.reason)
        self._progress.finish(_in_words(number), _ending(outcome, values))
        self.study.settle(number, outcome)

    def _outcome(self, number: int, home: Path, mark: str, history: list[dict[str, float]]) -> Outcome:
        """Go through a trial's epochs, first those on file; the pruner may end it after each but the last."""

        def on_epoch(figures: dict[str, float]) -> None:
            history.append(figures)
            self._progress.epoch(_in_words(number), figures)
            if len(history) < self._own.epochs and self.study.is_hopeless(number, _recalls(history)):
                raise _Hopeless

        trained = read_if_of(home / TRAINED, mark)
        known = trained or read_if_of(home / PRUNED, mark) or {"history": []}
        try:
            for each in known["history"]:
                on_epoch(each)
            if trained is None:
                history.clear()
                self._start(number, "train", on_epoch=on_epoch)
                trained = read_json(home / TRAINED)
        except _Hopeless:
            write_json(home / PRUNED, {"fingerprint": mark, "history": history})
            (home / CHECKPOINT).unlink(missing_ok=True)
            return Outcome("pruned", _recalls(history))
        if trained["diverged"]:
            return Outcome("failed", _recalls(history), trained["diverged"])
        return Outcome("complete", _recalls(history))

    def _start(self, number: int, what: str, *, on_epoch: Callable[[dict[str, float]], None]) -> None:
        home = self._homes[number]
        command = (sys.executable, "-m", "matbind.training.tuning.trial", str(home), what)
        log = LOGS / "tune" / f"{number}.log"
        self._train(self.combination.name, log=log, on_epoch=on_epoch, command=command)

    def _found(self) -> dict[str, Any]:
        """The content of metrics/tuning.json; nothing in it depends on when or how fast it was made."""
        outcomes, own = self.study.outcomes, self._own
        complete = self._complete()
        hits = {number: read_hits(self._homes[number]) for number in complete}
        best = best_of({number: outcome.value for number, outcome in complete.items()})
        gain = None
        if DEFAULTS in complete and len(complete) > 1:
            gain = gain_over_defaults(
                {number: np.stack(list(each.values())) for number, each in hits.items()},
                n_resamples=self._settings.evaluation.bootstrap_resamples,
                seed=self._settings.seed,
            )
        chosen = best if gain is None or gain.confidence >= own.confidence else DEFAULTS
        origin = self._tracker.origin
        return {
            "enabled": True,
            "preset": self._settings.preset,
            "seed": self._settings.seed,
            "study": self._name,
            "data_md5": origin.data_md5,
            "git_commit": origin.code,
            "combination": self.combination.name,
            "epochs": own.epochs,
            "space": space_in_words(own.space),
            "choices": {name: parameter.choices for name, parameter in own.space.items()},
            "n_earlier": self.study.n_earlier,
            "n_materials": next(iter(next(iter(hits.values())).values())).shape[-1],
            "n_resamples": self._settings.evaluation.bootstrap_resamples,
            "best": best,
            "chosen": chosen,
            "gain": None if gain is None else gain.as_dict(),
            "confidence_required": own.confidence,
            "defaults": self._side(DEFAULTS, hits),
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
                for number, outcome in outcomes.items()
            ],
        }

    def _side(self, number: int, hits: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """One of the two trials that are compared: values and recall on both splits."""
        side: dict[str, Any] = {"number": number, "values": self.study.proposal(number)}
        side |= dict.fromkeys(("validation_recall_at_1", "test_recall_at_1"))
        if number in hits:
            test = read_json(self._homes[number] / TEST)["pairs"]
            pairs = recalls_of(hits[number])
            side["validation_recall_at_1"] = float(np.mean(list(pairs.values())))
            side["test_recall_at_1"] = float(np.mean(list(test.values())))
            side |= {"validation_pairs": pairs, "test_pairs": test}
        return side

    def _complete(self) -> dict[int, Outcome]:
        return {number: outcome for number, outcome in self.study.outcomes.items() if outcome.state == "complete"}

    def _study_name(self) -> str:
        """Digest of all that the result depends on, but for the number of trials: more of them are the same study."""
        import optuna

        free = {"enabled", "trials", "workers", "retries", "resume", "storage", "confidence"}
        told = self._own.model_dump(mode="json", exclude=free)
        own = apply_values(self._settings, trial_values(self._own, self._defaults), source="tune.space")
        mark = fingerprint(own, self.combination, FEATURES)
        return hashlib.sha256(json.dumps([mark, told, optuna.__version__]).encode()).hexdigest()[:MARK_CHARACTERS]

    def _kept_as(self) -> str:
        """The study's name; in a team's database two members may search the same, and each begins anew."""
        return self._name if self._own.storage is None else f"{self._name} {getpass.getuser()}@{socket.gethostname()}"

    def _tidy(self) -> None:
        """Remove the trials of other studies, and the weights, of which all has been written down."""
        own = {home.name for home in self._homes.values()}
        for home in (TUNING / TRIALS).iterdir():
            if home.name in own:
                (home / WEIGHTS).unlink(missing_ok=True)
            else:
                shutil.rmtree(home)


class _Hopeless(Exception):  # noqa: N818  # it is no error: the pruner ends a trial, and its process with it
    """Raised where the figures of an epoch arrive, to leave the trial there."""


def switch_off(settings: Settings, *, log: Callable[[str], None]) -> None:
    """Write what the stage has to leave behind where nothing is tuned."""
    found = {"enabled": False}
    TUNING.mkdir(parents=True, exist_ok=True)
    _write_text(REPORTS / "tuning.md", document(found))
    write_json(TUNING_METRICS, found)
    write_tuned(TUNED, {}, preset=settings.preset, comments=comments(found))
    log(verdict(found))


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _recalls(history: list[dict[str, float]]) -> dict[int, float]:
    return {int(each["epoch"]): each[VALIDATION_RECALL] for each in history if VALIDATION_RECALL in each}


def _in_words(number: int) -> str:
    return f"trial {number}" if number else "trial 0 (defaults)"


def _ending(outcome: Outcome, values: Values) -> str:
    told = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
    if outcome.state == "failed":
        return f"failed ({outcome.reason}); {told}"
    recall = max(outcome.recalls.values())
    how = "" if outcome.state == "complete" else f", given up after epoch {max(outcome.recalls)}"
    return f"validation recall@1 {recall:.3f}{how}; {told}"
