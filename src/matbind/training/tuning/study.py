"""A study of trials whose result does not depend on how many run at a time, or on when it was interrupted.

Trial n is proposed, and judged by the pruner, from what the trials up to n - `ahead` reached, whatever else is
finished by then; so up to `ahead` trials run at a time and give the same as one after the other would. The price: a
proposal knows up to `ahead` - 1 results less than it could. Each proposal draws from a generator of its own
number, so a study that gets the same results goes the same way, however often it is begun again. Nothing here is kept:
`storage.py` is what others see.

Trial 0 has the `start` of every setting in tune.space; the next ones fill the space evenly (scrambled Halton points);
then the tree-structured Parzen estimator proposes.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from matbind.settings.tune import Parameter, Scalar, TuneSettings
from matbind.training.tuning.space import Values

State = Literal["complete", "pruned", "failed"]
_OPTUNAS = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
FEWEST_FOR_IMPORTANCE = 5  # finished trials


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: `failed` for a training that diverged or whose process failed.
        recalls: mean validation recall@1 after each epoch it was validated in.
        reason: why it failed.
    """

    state: State
    recalls: dict[int, float] = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.state != "failed" and not (self.recalls and all(map(math.isfinite, self.recalls.values()))):
            raise ValueError(f"a trial that is {self.state} needs finite recalls, found {self.recalls}")

    @property
    def value(self) -> float:
        """Return the recall of its best epoch, whose weights are kept."""
        return max(self.recalls.values())


class Study:
    """Proposes trials in the order of their numbers and takes their outcomes, by any thread."""

    def __init__(self, tune: TuneSettings, *, seed: int, earlier: Sequence[Any] = ()) -> None:
        """Begin a study.

        Args:
            tune: its settings.
            seed: of all proposals.
            earlier: ended trials of other studies in the same space, which inform the proposals.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.distributions = {name: distribution_of(parameter) for name, parameter in tune.space.items()}
        self.n_earlier = len(earlier)
        self._optuna, self._tune, self._seed = optuna, tune, seed
        self._even = _even_points(self.distributions, tune.startup_trials, seed=seed)
        self._turn = threading.Condition()
        self._asked: list[Any] = []
        self._outcomes: dict[int, Outcome] = {}
        self._n_told = 0
        self._stopped: BaseException | None = None
        self._study = self._in_memory(
            self._trial(trial.state.name, trial.params, trial.intermediate_values, trial.value) for trial in earlier
        )
        self._advance()

    def proposal(self, number: int) -> Values:
        """Return the values of a trial as soon as the trials it learns from have ended.

        Raises:
            BaseException: what :meth:`stop` was given meanwhile.
        """
        with self._turn:
            self._turn.wait_for(lambda: len(self._asked) > number or self._stopped is not None)
            if self._stopped is not None:
                raise self._stopped
            return {name: self._asked[number].params[name] for name in self.distributions}

    def trial(self, number: int) -> Any:
        """Return a trial that was proposed as one of Optuna's, running or with how it ended."""
        with self._turn:
            outcome = self._outcomes.get(number)
            if outcome is None:
                return self._trial("RUNNING", self._asked[number].params, {})
            value = outcome.value if outcome.state == "complete" else None
            reason = {"reason": outcome.reason} if outcome.reason else {}
            state, params = _OPTUNAS[outcome.state], self._asked[number].params
            return self._trial(state, params, outcome.recalls, value, **reason)

    def is_hopeless(self, number: int, recalls: Mapping[int, float]) -> bool:
        """Return whether the pruner gives a trial up, by its recalls so far and the trials it was proposed from."""
        start, warmup = self._tune.pruner.startup_trials, self._tune.pruner.warmup_epochs
        pruner = self._optuna.pruners.MedianPruner(start, warmup, n_min_trials=1)
        with self._turn:
            seen = [self.trial(n) for n in range(number - self._tune.ahead + 1)]
            trial = self._trial("RUNNING", self._asked[number].params, recalls)
        return bool(pruner.prune(self._in_memory(seen), trial))

    def settle(self, number: int, outcome: Outcome) -> None:
        """Take in how a trial ended; it is told to the study when all trials before it are."""
        with self._turn:
            self._outcomes[number] = outcome
            self._advance()
            self._turn.notify_all()

    def stop(self, error: BaseException) -> None:
        """End the waiting of other threads with an error that no further trial could mend."""
        with self._turn:
            self._stopped = self._stopped or error
            self._turn.notify_all()

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """Return the outcome of every trial that has ended, by its number."""
        return {number: self._outcomes[number] for number in sorted(self._outcomes)}

    def importance(self) -> dict[str, float]:
        """Compute the share of each setting in the spread of recall over the finished trials.

        Returns:
            By setting; empty if too few trials finished to say.

        Source: Hutter, Hoos and Leyton-Brown 2014 (functional ANOVA over a random forest).
        """
        if sum(outcome.state == "complete" for outcome in self._outcomes.values()) < FEWEST_FOR_IMPORTANCE:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        try:
            shares = self._optuna.importance.get_param_importances(self.finished(), evaluator=evaluator)
        except RuntimeError:  # the recalls of all trials are equal
            return {}
        return {name: float(share) for name, share in shares.items() if math.isfinite(share)}

    def finished(self) -> Any:
        """Return an Optuna study, in memory, of the trials of this study alone that have ended."""
        return self._in_memory(map(self.trial, range(self._n_told)))

    def _trial(
        self, state: str, params: Values, recalls: Mapping[int, float], value: float | None = None, **attributes: Any
    ) -> Any:
        """Make an Optuna trial of its state, values, recalls by epoch, and recall of the best one."""
        return self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState[state],
            value=value,
            params=params,
            distributions=self.distributions,
            intermediate_values={epoch: recall for epoch, recall in recalls.items() if math.isfinite(recall)},
            user_attrs=attributes,
        )

    def _advance(self) -> None:
        """Ask and tell in one order, whatever the order in which trials end."""
        while True:
            if len(self._asked) < self._tune.trials and len(self._asked) - self._n_told < self._tune.ahead:
                self._asked.append(self._ask(len(self._asked)))
            elif self._n_told in self._outcomes:
                self._tell(self._n_told)
                self._n_told += 1
            else:
                return

    def _ask(self, number: int) -> Any:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        # Even points and the start are given, so the estimator need not draw at random before it has learned.
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)
        given = self._tune.start if number == 0 else self._even.get(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if given is not None:
                self._study.enqueue_trial(given)
            return self._study.ask(fixed_distributions=self.distributions)

    def _tell(self, number: int) -> None:
        trial, outcome = self._asked[number], self._outcomes[number]
        for epoch, recall in outcome.recalls.items():
            if math.isfinite(recall):
                trial.report(recall, epoch)
        if outcome.reason:
            trial.set_user_attr("reason", outcome.reason)
        value = outcome.value if outcome.state == "complete" else None
        self._study.tell(trial, value, state=self._optuna.trial.TrialState[_OPTUNAS[outcome.state]])

    def _in_memory(self, trials: Iterable[Any]) -> Any:
        study = self._optuna.create_study(direction="maximize")
        study.add_trials(trials)
        return study


def distribution_of(parameter: Parameter) -> Any:
    """Return Optuna's distribution of a parameter; whole numbers where its start is one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.choices is not None:
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter.start, int):
        return IntDistribution(int(parameter.low or 0), int(parameter.high or 0), log=parameter.log)
    return FloatDistribution(float(parameter.low or 0), float(parameter.high or 0), log=parameter.log)


def _even_points(distributions: Mapping[str, Any], n: int, *, seed: int) -> dict[int, Values]:
    """Return points that fill the space evenly, by the number of their trial, from 1."""
    from scipy.stats import qmc

    points = qmc.Halton(len(distributions), scramble=True, rng=seed).random(n)
    return {
        number: dict(zip(distributions, map(_at, distributions.values(), point), strict=True))
        for number, point in enumerate(points.tolist(), start=1)
    }


def _at(distribution: Any, share: float) -> Scalar:
    """Return the value at a share, in [0, 1), of a distribution."""
    if hasattr(distribution, "choices"):
        return distribution.choices[int(share * len(distribution.choices))]  # type: ignore[no-any-return]
    whole = isinstance(distribution.low, int)
    # Every whole number has the width of one, so that the first and the last are as likely as the others.
    low, high = (distribution.low - 0.5, distribution.high + 0.5) if whole else (distribution.low, distribution.high)
    if distribution.log:
        low, high = math.log(low), math.log(high)
    value: float = low + share * (high - low)
    value = min(max(math.exp(value) if distribution.log else value, float(distribution.low)), float(distribution.high))
    return round(value) if whole else value
