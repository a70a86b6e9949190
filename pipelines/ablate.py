"""The ablate stage: every combination trained with every seed, some at a time, and taken up again after a stop."""

import threading
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from matbind.base.files import LOGS, locked
from matbind.report.style import learning_curves
from matbind.settings.params import Settings
from matbind.training.ablation import Ablation
from matbind.training.tuning.space import apply_tuned
from pipelines.stage import reporter, run, stage
from pipelines.tasks import cores_or, outcomes_of, training_task

LOCK = LOGS / "ablate.lock"


@stage
def ablate(settings: Settings) -> None:
    """Train and evaluate as mapped tasks, one a combination and seed; the stage fails at the end if any failed."""
    with locked(LOCK, "ablation"):
        log = reporter("ablate")
        ablation = Ablation(apply_tuned(settings, log=log), draw_curves=learning_curves, log=log)
        names = list(ablation.trainings)
        progress = Progress(len(names))

        @training_task(name="{training}", retries=settings.ablate.retries)
        def train(training: str) -> None:
            ablation.train(training)
            progress.step(training)

        outcomes = outcomes_of(train, "training", names, at_a_time=cores_or(settings.ablate.workers))
        ablation.finish({n: o for n, o in zip(names, outcomes, strict=True) if isinstance(o, BaseException)})


class Progress:
    """How many trainings are done, as an artifact of the flow that runs."""

    def __init__(self, n: int) -> None:
        """Begin with none of `n`."""
        self._n, self._done, self._lock = n, 0, threading.Lock()
        text = f"0 of {n} trainings"
        # Its id; to mypy it could be something to await as well, which it is in a coroutine alone.
        self._artifact: Any = create_progress_artifact(0.0, key="ablate", description=text)

    def step(self, name: str) -> None:
        """Count one training as done; any thread may call it."""
        with self._lock:
            self._done += 1
            text = f"{self._done} of {self._n} trainings, the last {name}"
            update_progress_artifact(self._artifact, 100 * self._done / self._n, text)


if __name__ == "__main__":
    run(ablate)
