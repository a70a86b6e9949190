"""The ablate stage: every combination trained and evaluated, some at a time, and taken up again after a stop."""

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
    """Train and evaluate the combinations as mapped tasks; the stage fails at the end if any of them failed."""
    with locked(LOCK, "ablation"):
        ablation = Ablation(apply_tuned(settings), draw_curves=learning_curves, log=reporter("ablate"))

        @training_task(name="{combination}", retries=settings.ablate.retries)
        def train(combination: str) -> None:
            ablation.train(combination)

        names = list(ablation.combinations)
        outcomes = outcomes_of(train, "combination", names, at_a_time=cores_or(settings.ablate.workers))
        ablation.finish({n: o for n, o in zip(names, outcomes, strict=True) if isinstance(o, BaseException)})


if __name__ == "__main__":
    run(ablate)
