"""How far the trainings of a stage are, in sentences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

SECONDS_BETWEEN_LINES = 5.0
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
        self._last: dict[str, tuple[float, float]] = {}  # of a training: when its last epoch came, seconds it had taken
        self._since: tuple[float, float] | None = None  # when the first epoch was done, and the work until then
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def epoch(self, combination: str, figures: Mapping[str, float]) -> None:
        """Take in one epoch's figures; those with a validation recall are told, every few seconds at most."""
        with self._lock:
            now, share = self._clock(), figures["epoch"] / self._epochs
            self._resumed.setdefault(combination, share - 1 / self._epochs)
            if combination in self._last:
                came, taken = self._last[combination]
                if now - came < (figures["seconds"] - taken) / 2:  # told again, of an attempt before this one
                    self._resumed[combination] = share
            self._last[combination] = now, figures["seconds"]
            self._shares[combination] = share
            self._since = self._since or (now, self._work()[0])
            recall = figures.get("validation_recall_at_1")
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
            self._ended.add(combination)  # before its last epoch, maybe
            self._tell(f"{combination}: {sentence}")

    def say(self, sentence: str) -> None:
        """Tell something else."""
        with self._lock:
            self._log(sentence)

    def _tell(self, sentence: str) -> None:
        self._log(f"{len(self._ended)} of {len(self._shares)} done{self._left()} | {sentence}")

    def _work(self) -> tuple[float, float]:
        """Return the encodings done here, and those to be done, in units of an epoch's of all materials."""
        done = sum(cost(name) * (share - self._resumed.get(name, share)) for name, share in self._shares.items())
        to_do = sum(cost(name) * (1 - share) for name, share in self._shares.items() if name not in self._ended)
        return done, to_do

    def _left(self) -> str:
        """Say the time left once it can be known.

        Until one training was seen from beginning to end, with start and evaluation, its epochs give a least time.
        """
        done, to_do = self._work()
        seen_whole = any(self._shares[name] > self._resumed.get(name, self._shares[name]) for name in self._ended)
        since, before = (self._started, 0.0) if seen_whole else self._since or (self._started, done)
        if not to_do or done <= before:
            return ""
        seconds = (self._clock() - since) * to_do / (done - before)
        how = "about" if seen_whole else "at least"
        return f", {how} {seconds / MINUTE:.0f} min left" if seconds >= MINUTE else f", {how} {seconds:.0f} s left"
