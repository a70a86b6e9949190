"""How far the trainings of a stage are, in sentences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

SECONDS_BETWEEN_LINES = 5.0
ENOUGH_TO_EXTRAPOLATE = 0.02
MINUTE = 60


def cost(combination: str) -> int:
    """Return the encodings a step, to which a training's time is about proportional; a single is encoded twice."""
    return max(combination.count("+") + 1, 2)


class ProgressLog:
    """Prints which of the combinations are done, the epoch and recall of those that run, and the time left."""

    def __init__(
        self,
        combinations: list[str],
        *,
        epochs: int,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = dict.fromkeys(combinations, 0.0)
        self._epochs, self._log, self._clock = epochs, log, clock
        self._started = clock()
        self._said: dict[str, float] = {}
        self._resumed: dict[str, float] = {}
        self._finished = 0
        self._lock = threading.Lock()

    def epoch(self, combination: str, figures: Mapping[str, float]) -> None:
        """Take in one epoch's figures; those with a validation recall are told, every few seconds at most."""
        with self._lock:
            share = figures["epoch"] / self._epochs
            self._resumed.setdefault(combination, share - 1 / self._epochs)
            self._shares[combination] = share
            recall, now = figures.get("validation_recall_at_1"), self._clock()
            if recall is None or now - self._said.get(combination, -SECONDS_BETWEEN_LINES) < SECONDS_BETWEEN_LINES:
                return
            self._said[combination] = now
            self._tell(
                f"{combination}: epoch {figures['epoch']:.0f} of {self._epochs}, loss {figures['loss']:.3f}, "
                f"validation recall@1 {recall:.3f}"
            )

    def finish(self, combination: str, sentence: str) -> None:
        """Take in the end of one combination and tell it."""
        with self._lock:
            self._resumed.setdefault(combination, 1.0)  # without an epoch there was no work to learn the speed from
            self._shares[combination] = 1.0
            self._finished += 1
            self._tell(f"{combination}: {sentence}")

    def say(self, sentence: str) -> None:
        """Tell something else."""
        with self._lock:
            self._log(sentence)

    def _tell(self, sentence: str) -> None:
        self._log(f"{self._finished} of {len(self._shares)} done{self._left()} | {sentence}")

    def _left(self) -> str:
        total = sum(cost(name) * (1 - self._resumed.get(name, 0.0)) for name in self._shares)
        done = sum(cost(name) * max(share - self._resumed.get(name, 0.0), 0.0) for name, share in self._shares.items())
        if done < ENOUGH_TO_EXTRAPOLATE * total or done >= total:
            return ""
        seconds = (self._clock() - self._started) * (total - done) / done
        return f", about {seconds / MINUTE:.0f} min left" if seconds >= MINUTE else f", about {seconds:.0f} s left"
